package roomservice

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/livekit/psrpc"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twitchtv/twirp"

	"diemcau/signaling/auth"
)

// PathPrefix is where a Handler is to be served.
const PathPrefix = livekit.RoomServicePathPrefix

const (
	maxBody  = 256 << 10        // bytes of a request
	bodyTime = 10 * time.Second // for a request's body to arrive
	timeout  = 10 * time.Second // for an answer
	// rpcTimeout bounds a call to a participant's client, which the caller
	// usually bounds itself.
	rpcTimeout = 70 * time.Second
)

// Options are what a Handler needs; all but Metrics are required.
type Options struct {
	Auth    *auth.Verifier
	Rooms   Rooms
	Log     *slog.Logger
	Metrics prometheus.Registerer // nil: metrics are kept and not exported
}

// Handler serves RoomService below PathPrefix.
type Handler struct {
	auth     *auth.Verifier
	log      *slog.Logger
	server   livekit.TwirpServer
	requests *prometheus.CounterVec
}

// New returns a Handler. Errors: an option is missing, or Metrics refuses a name.
func New(o Options) (*Handler, error) {
	if o.Auth == nil || o.Rooms == nil || o.Log == nil {
		return nil, errors.New("roomservice: Auth, Rooms and Log are required")
	}
	h := &Handler{
		auth: o.Auth, log: o.Log,
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "diemcau", Subsystem: "roomservice", Name: "requests_total",
			Help: "Requests of the RoomService API, by method and by Twirp error code (ok if none).",
		}, []string{"method", "code"}),
	}
	if o.Metrics != nil {
		if err := o.Metrics.Register(h.requests); err != nil {
			return nil, err
		}
	}
	h.server = livekit.NewRoomServiceServer(&service{auth: o.Auth, rooms: o.Rooms, log: o.Log},
		twirp.WithServerInterceptors(h.intercept))
	return h, nil
}

// ServeHTTP checks the token before it reads anything of the body, and has the
// whole body within bounds before it is parsed.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	claims, err := h.authenticate(r)
	if err != nil {
		h.requests.WithLabelValues("", string(twirp.Unauthenticated)).Inc()
		h.log.InfoContext(r.Context(), "request refused", "path", r.URL.Path, "address", r.RemoteAddr, "error", err)
		w.Header().Set("WWW-Authenticate", "Bearer") // RFC 6750 section 3
		refuse(w, twirp.Unauthenticated.Error(err.Error()))
		return
	}
	body, failed := readBody(w, r)
	if failed != nil {
		h.requests.WithLabelValues("", string(failed.Code())).Inc()
		refuse(w, failed)
		return
	}
	r = r.WithContext(context.WithValue(r.Context(), claimsKey{}, claims))
	r.Body = io.NopCloser(bytes.NewReader(body))
	h.server.ServeHTTP(w, r)
}

// authenticate takes the token from the header only: a query ends in the logs of
// proxies, and no server SDK puts it there.
func (h *Handler) authenticate(r *http.Request) (*auth.Claims, error) {
	if r.Header.Get("Authorization") == "" {
		return nil, errors.New("no access token: send an Authorization header")
	}
	return h.auth.FromRequest(r)
}

// readBody reads the body in the time and up to the length allowed.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, twirp.Error) {
	limit := http.NewResponseController(w)
	_ = limit.SetReadDeadline(time.Now().Add(bodyTime)) // not every writer can; the length is bounded all the same
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	_ = limit.SetReadDeadline(time.Time{})
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, twirp.InvalidArgument.Errorf("request is larger than %d bytes", maxBody)
	case err != nil:
		return nil, twirp.Malformed.Error("request body could not be read")
	}
	return body, nil
}

func refuse(w http.ResponseWriter, err twirp.Error) {
	_ = twirp.WriteError(w, err) // it fails only if the caller is gone
}

type claimsKey struct{}

// intercept bounds a method's time, gives its errors their Twirp form, and
// counts and logs it.
func (h *Handler) intercept(next twirp.Method) twirp.Method {
	return func(ctx context.Context, req any) (any, error) {
		method, _ := twirp.MethodName(ctx)
		limit := timeout
		if method == "PerformRpc" {
			limit = rpcTimeout
		}
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		res, err := next(ctx, req)
		code, log := "ok", h.log.With("method", method)
		if c := claimsOf(ctx); c != nil {
			log = log.With("api_key", c.APIKey, "caller", c.Grants.Identity)
		}
		if named, ok := req.(interface{ GetRoom() string }); ok {
			log = log.With("room", named.GetRoom())
		}
		if named, ok := req.(interface{ GetIdentity() string }); ok {
			log = log.With("participant", named.GetIdentity())
		}
		if err != nil {
			failure := twirpError(err)
			code = string(failure.Code())
			if failure.Code() == twirp.Internal {
				log.ErrorContext(ctx, "request failed", "error", err)
			} else {
				log.InfoContext(ctx, "request refused", "error", err)
			}
			res, err = nil, failure
		} else {
			log.InfoContext(ctx, "request carried out")
		}
		h.requests.WithLabelValues(method, code).Inc()
		return res, err
	}
}

// twirpError is what the caller is told about err.
func twirpError(err error) twirp.Error {
	var known twirp.Error
	var coded psrpc.Error
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &coded):
		return twirp.NewError(coded.Code().ToTwirp(), coded.Error())
	case errors.Is(err, context.DeadlineExceeded):
		return twirp.DeadlineExceeded.Error("the room did not answer in time")
	case errors.Is(err, context.Canceled):
		return twirp.Canceled.Error("request was canceled")
	}
	return twirp.Internal.Error("internal error")
}
