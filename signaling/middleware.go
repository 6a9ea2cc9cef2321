package signaling

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/go-chi/chi/v5/middleware"
)

// unlogged is where ballots of secret votes are cast: a line with an address and a
// time could tell whose each was.
const unlogged = "/api/v1/ballots"

// requestLog writes a debug line for each request, but for ballots. The query stays out
// of it: tokens travel there.
func requestLog(log *slog.Logger) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == unlogged || !log.Enabled(r.Context(), slog.LevelDebug) {
				next.ServeHTTP(w, r)
				return
			}
			started := time.Now()
			wrapped := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
			next.ServeHTTP(wrapped, r)
			log.DebugContext(r.Context(), "request", "method", r.Method, "path", r.URL.Path,
				"status", wrapped.Status(), "bytes", wrapped.BytesWritten(),
				"address", r.RemoteAddr, "took", time.Since(started))
		})
	}
}

// recoverer keeps a panic to the request that caused it.
func recoverer(log *slog.Logger) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer func() {
				value := recover()
				if value == nil {
					return
				}
				if err, ok := value.(error); ok && errors.Is(err, http.ErrAbortHandler) {
					panic(value)
				}
				log.ErrorContext(r.Context(), "request panicked", "path", r.URL.Path,
					"panic", fmt.Sprint(value), "stack", string(debug.Stack()))
				if r.Header.Get("Upgrade") == "" {
					writeProblem(w, problemInternal)
				}
			}()
			next.ServeHTTP(w, r)
		})
	}
}

// securityHeaders sets what holds for every answer; the web client adds its
// content security policy. With hsts browsers that came by HTTPS come by nothing else
// for a year.
func securityHeaders(hsts bool) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler { return secured(next, hsts) }
}

func secured(next http.Handler, hsts bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Frame-Options", "DENY")
		if hsts && r.TLS != nil {
			h.Set("Strict-Transport-Security", "max-age=31536000") // RFC 6797
		}
		next.ServeHTTP(w, r)
	})
}

// singleSlash makes `//rtc` be `/rtc`: some SDKs join a server URL that ends in a
// slash with a path that begins with one.
func singleSlash(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "//") {
			r.URL.Path = "/" + strings.TrimLeft(r.URL.Path, "/")
			r.URL.RawPath = ""
		}
		next.ServeHTTP(w, r)
	})
}

// noStore keeps answers that are of this moment or hold a token out of caches.
func noStore(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// allowAnyOrigin lets pages of any origin read the answers of next, and answers
// preflight requests itself. It is for endpoints whose only credential is a
// token that the page must hold.
func allowAnyOrigin(next http.Handler, methods string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", "*")
		if r.Method == http.MethodOptions {
			h.Set("Access-Control-Allow-Methods", methods)
			h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, X-Livekit-Sdk")
			h.Set("Access-Control-Max-Age", "7200")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		next.ServeHTTP(w, r)
	})
}
