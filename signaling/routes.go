package signaling

import (
	"encoding/json"
	"net/http"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"diemcau/signaling/roomservice"
)

func (s *Server) routes() (http.Handler, error) {
	r := chi.NewRouter()
	r.Use(fromProxies(s.options.Proxies), requestLog(s.options.Log), recoverer(s.options.Log), securityHeaders(!s.options.Demo), singleSlash, middleware.GetHead)

	signal := allowAnyOrigin(s.rtc, "GET, OPTIONS")
	for _, path := range []string{"/rtc", "/rtc/v1", "/rtc/validate", "/rtc/v1/validate"} {
		r.Handle(path, signal)
	}
	// livekit-client asks for HEAD / of the server's origin to learn whether it
	// is online.
	r.Method(http.MethodHead, "/", allowAnyOrigin(s.options.Client, "GET, HEAD"))
	r.Method(http.MethodGet, "/", s.options.Client)
	r.Handle(roomservice.PathPrefix+"*", allowAnyOrigin(s.rooms, "POST, OPTIONS"))
	r.Handle("/twirp/*", allowAnyOrigin(http.HandlerFunc(noSuchService), "POST, OPTIONS"))

	r.Get("/healthz", func(w http.ResponseWriter, _ *http.Request) { writeText(w, http.StatusOK, "ok\n") })
	r.Get("/readyz", s.ready)
	r.Method(http.MethodGet, "/metrics", promhttp.HandlerFor(s.metrics, promhttp.HandlerOpts{Registry: s.metrics}))
	if s.options.CA != nil {
		r.Get("/ca.crt", s.certificate)
	}

	if s.options.Socket != nil {
		r.Handle("/ws/v1/*", s.options.Socket)
	}
	var failed error
	r.Route("/api", func(r chi.Router) {
		r.Use(noStore)
		r.NotFound(func(w http.ResponseWriter, _ *http.Request) { writeProblem(w, problemNotFound) })
		r.MethodNotAllowed(func(w http.ResponseWriter, _ *http.Request) { writeProblem(w, problemMethod) })
		r.Get("/v1/config", s.config)
		if s.demo != nil {
			r.Post("/v1/demo/token", s.demo.serve)
		}
		if s.options.API != nil {
			r.Route("/v1", func(r chi.Router) { failed = s.options.API(r) })
		}
	})
	r.NotFound(s.options.Client.ServeHTTP)
	r.MethodNotAllowed(func(w http.ResponseWriter, _ *http.Request) { writeProblem(w, problemMethod) })
	return r, failed
}

// ready is for load balancers: it fails while the server stops or lacks what it
// needs. Why, stands in the log and not in an answer that anybody may ask for.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	if s.stopping.Load() {
		writeText(w, http.StatusServiceUnavailable, "shutting down\n")
		return
	}
	if s.options.Ready != nil {
		if err := s.options.Ready(); err != nil {
			s.options.Log.WarnContext(r.Context(), "not ready", "error", err)
			writeText(w, http.StatusServiceUnavailable, "not ready\n")
			return
		}
	}
	writeText(w, http.StatusOK, "ready\n")
}

func (s *Server) config(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, "application/json", struct {
		Demo    bool   `json:"demo"`
		Version string `json:"version"`
	}{s.options.Demo, s.options.Version})
}

func (s *Server) certificate(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/x-x509-ca-cert")
	w.Header().Set("Content-Disposition", `attachment; filename="diemcau-ca.crt"`)
	_, _ = w.Write(s.options.CA)
}

// noSuchService answers in Twirp's own error form, which server SDKs expect.
func noSuchService(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusNotFound, "application/json", struct {
		Code string `json:"code"`
		Msg  string `json:"msg"`
	}{"bad_route", "no such service or method"})
}

func writeText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text))
}

func writeJSON(w http.ResponseWriter, status int, contentType string, body any) {
	encoded, err := json.Marshal(body)
	if err != nil { // only for types that no caller has
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = w.Write(append(encoded, '\n'))
}
