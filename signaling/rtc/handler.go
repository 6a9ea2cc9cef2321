package rtc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	lkauth "github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	"github.com/prometheus/client_golang/prometheus"

	"diemcau/signaling/auth"
)

// openTimeout bounds Bridge.Open; stock clients wait 15 s for their socket.
const openTimeout = 10 * time.Second

// readBuffer is how many bytes a socket reads ahead; most messages are short.
const readBuffer = 1 << 10

// Options are what a Handler needs; all but Metrics are required.
type Options struct {
	Auth    *auth.Verifier
	Bridge  Bridge
	Log     *slog.Logger
	Metrics prometheus.Registerer // nil: metrics are kept and not exported
}

// Handler serves `/rtc`, `/rtc/v1`, `/rtc/validate` and `/rtc/v1/validate`.
type Handler struct {
	auth     *auth.Verifier
	bridge   Bridge
	log      *slog.Logger
	metrics  *metrics
	upgrader websocket.Upgrader
	mux      *http.ServeMux

	draining chan struct{} // closed by Shutdown

	mu    sync.Mutex
	conns map[*conn]struct{} // guarded by mu
	ended bool               // guarded by mu; no session starts any more
	work  sync.WaitGroup     // grows only under mu while !ended
}

// New returns a Handler. Errors: an option is missing, or Metrics refuses a name.
func New(o Options) (*Handler, error) {
	if o.Auth == nil || o.Bridge == nil || o.Log == nil {
		return nil, errors.New("rtc: Auth, Bridge and Log are required")
	}
	m, err := newMetrics(o.Metrics)
	if err != nil {
		return nil, err
	}
	h := &Handler{
		auth: o.Auth, bridge: o.Bridge, log: o.Log, metrics: m,
		// Any origin may connect: the token is the credential, no cookie is.
		upgrader: websocket.Upgrader{
			CheckOrigin:      func(*http.Request) bool { return true },
			HandshakeTimeout: writeWait,
			ReadBufferSize:   readBuffer,
			WriteBufferPool:  &sync.Pool{},
		},
		mux:      http.NewServeMux(),
		draining: make(chan struct{}),
		conns:    make(map[*conn]struct{}),
	}
	h.mux.HandleFunc("/rtc", func(w http.ResponseWriter, r *http.Request) { h.serve(w, r, false) })
	h.mux.HandleFunc("/rtc/v1", func(w http.ResponseWriter, r *http.Request) { h.serve(w, r, true) })
	h.mux.HandleFunc("GET /rtc/validate", func(w http.ResponseWriter, r *http.Request) { h.validate(w, r, false) })
	h.mux.HandleFunc("GET /rtc/v1/validate", func(w http.ResponseWriter, r *http.Request) { h.validate(w, r, true) })
	return h, nil
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.mux.ServeHTTP(w, r) }

// Shutdown ends every session with `leave{RESUME}`, so that clients come back to
// whatever serves this address next, and waits for them. When ctx ends first it
// cuts the sockets, waits for the sessions all the same and returns ctx's error.
func (h *Handler) Shutdown(ctx context.Context) error {
	h.mu.Lock()
	if !h.ended {
		h.ended = true
		close(h.draining)
	}
	h.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.work.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	h.mu.Lock()
	for c := range h.conns {
		_ = c.ws.Close()
	}
	h.mu.Unlock()
	<-done
	return ctx.Err()
}

// serve opens a session. What carries it is a goroutine of its own: that of the request
// holds on to all that the request took, for as long as it runs.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request, needJoinRequest bool) {
	if !websocket.IsWebSocketUpgrade(r) {
		w.Header().Set("Upgrade", "websocket")
		h.refuse(w, r, nil, &requestError{http.StatusUpgradeRequired, "not_websocket", "this is a WebSocket endpoint"})
		return
	}
	claims, start, err := h.prepare(r, needJoinRequest)
	if err != nil {
		h.refuse(w, r, claims, err)
		return
	}
	if !h.enter() {
		h.refuse(w, r, claims, errDraining)
		return
	}
	var c *conn
	defer func() {
		if c == nil {
			h.work.Done()
		}
	}()
	if c = h.open(w, r, start, claims); c != nil {
		go func() {
			defer h.work.Done()
			h.carry(c)
		}()
	}
}

// open makes the socket of a session; nil if it is refused.
func (h *Handler) open(w http.ResponseWriter, r *http.Request, start *livekit.StartSession, claims *auth.Claims) *conn {
	ctx, cancel := context.WithTimeout(r.Context(), openTimeout)
	session, err := h.bridge.Open(ctx, start)
	cancel()
	if err != nil {
		h.refuse(w, r, claims, err)
		return nil
	}
	if err := h.auth.CheckRevoked(claims); err != nil { // its holder was removed while the session opened
		h.discard(session)
		h.refuse(w, r, claims, err)
		return nil
	}
	ws, err := h.upgrader.Upgrade(w, r, nil) // answers r itself on failure
	if err != nil {
		session.Close()
		h.metrics.refused.WithLabelValues("upgrade_failed").Inc()
		h.log.Info("upgrade failed", "room", start.RoomName, "participant", start.Identity, "error", err)
		return nil
	}
	return h.newConn(ws, session, start, claims)
}

// discard ends a session and its participant before anybody was told of them.
func (h *Handler) discard(session Session) {
	leave := &livekit.LeaveRequest{Reason: livekit.DisconnectReason_PARTICIPANT_REMOVED}
	if err := session.Send(&livekit.SignalRequest{Message: &livekit.SignalRequest_Leave{Leave: leave}}); err != nil {
		h.log.Debug("session was over before it was discarded", "error", err)
	}
	session.Close()
}

func (h *Handler) newConn(ws *websocket.Conn, session Session, start *livekit.StartSession, claims *auth.Claims) *conn {
	return &conn{
		ws:       ws,
		session:  session,
		tokens:   newTokenKeeper(h.auth, claims.APIKey, claims.Grants, start.ParticipantId),
		draining: h.draining,
		metrics:  h.metrics,
		log: h.log.With("room", start.RoomName, "participant", start.Identity,
			"connection", start.ConnectionId, "address", start.Client.Address),
		protocol: protocolName(start),
		resumed:  start.Reconnect,
		budget:   newBudget(),
		answers:  make(chan *livekit.SignalResponse, answerQueue),
		farewell: make(chan farewell, 1),
		gone:     make(chan struct{}),
		written:  make(chan struct{}),
	}
}

// carry runs c, keeping it among those that Shutdown can cut.
func (h *Handler) carry(c *conn) {
	h.mu.Lock()
	h.conns[c] = struct{}{}
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		delete(h.conns, c)
		h.mu.Unlock()
	}()
	defer func() {
		if value := recover(); value != nil { // it is this session's alone
			c.log.Error("signal session panicked", "panic", fmt.Sprint(value), "stack", string(debug.Stack()))
			_ = c.ws.Close()
		}
	}()
	c.run()
}

func protocolName(start *livekit.StartSession) string {
	if start.UseSinglePeerConnection {
		return "v1"
	}
	return "v0"
}

// enter counts a session in; false means that none may start any more. Each true
// is followed by work.Done.
func (h *Handler) enter() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended {
		return false
	}
	h.work.Add(1)
	return true
}

// validate tells whether serve would go on to the upgrade.
func (h *Handler) validate(w http.ResponseWriter, r *http.Request, needJoinRequest bool) {
	claims, start, err := h.prepare(r, needJoinRequest)
	if err == nil {
		err = h.probe(r.Context(), start)
	}
	if err != nil {
		h.refuse(w, r, claims, err)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("success"))
}

func (h *Handler) probe(ctx context.Context, start *livekit.StartSession) error {
	select {
	case <-h.draining:
		return errDraining
	default:
	}
	if p, ok := h.bridge.(Prober); ok {
		ctx, cancel := context.WithTimeout(ctx, openTimeout)
		defer cancel()
		return p.Probe(ctx, start)
	}
	return nil
}

// prepare decides all that can be decided without the Bridge. claims is nil if
// the token is not genuine, and set on any later error, so that the log can name
// the participant.
func (h *Handler) prepare(r *http.Request, needJoinRequest bool) (*auth.Claims, *livekit.StartSession, error) {
	claims, err := h.auth.FromRequest(r)
	if err != nil {
		return nil, nil, err
	}
	start, err := newStartSession(r, claims, needJoinRequest)
	return claims, start, err
}

var errDraining = &requestError{http.StatusServiceUnavailable, "draining", "server is shutting down"}

// refuse answers r with the status and the text of err.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, claims *auth.Claims, err error) {
	status, reason, message := classify(err)
	h.metrics.refused.WithLabelValues(reason).Inc()
	attrs := []any{"path", r.URL.Path, "address", r.RemoteAddr, "status", status, "reason", reason, "error", err}
	if claims != nil {
		attrs = append(attrs, "participant", claims.Grants.Identity, "room", roomOf(claims.Grants))
	}
	level := slog.LevelInfo
	if status == http.StatusInternalServerError {
		level = slog.LevelError
	}
	h.log.Log(r.Context(), level, "session refused", attrs...)
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer") // RFC 6750, section 3
	}
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(message))
}

func roomOf(grants *lkauth.ClaimGrants) string {
	if grants.Video == nil {
		return ""
	}
	return grants.Video.Room
}

// classify returns what a client is told about err.
func classify(err error) (status int, reason, message string) {
	var authErr *auth.Error
	var reqErr *requestError
	var openErr *OpenError
	switch {
	case errors.As(err, &authErr):
		return authErr.Status, string(authErr.Reason), authErr.Message
	case errors.As(err, &reqErr):
		return reqErr.status, reqErr.reason, reqErr.message
	case errors.As(err, &openErr) && openErr.Status >= 400 && openErr.Status <= 599:
		return openErr.Status, "open", openErr.Message
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return http.StatusServiceUnavailable, "open_timeout", "the room's node did not answer in time"
	default:
		return http.StatusInternalServerError, "internal", "internal error"
	}
}
