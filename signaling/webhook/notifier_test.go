package webhook

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	lkwebhook "github.com/livekit/protocol/webhook"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

const (
	key    = "testkey"
	secret = "0123456789abcdef0123456789abcdef"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quick = times{attempt: 5 * time.Second, first: time.Millisecond, most: 4 * time.Millisecond, giveUp: time.Minute}

// inbox is a receiver that checks what it is sent with LiveKit's own code.
type inbox struct {
	t      *testing.T
	server *httptest.Server
	answer func(attempt int) int // status

	mu       sync.Mutex
	changed  *sync.Cond
	attempts int
	tokens   []string
	events   []*livekit.WebhookEvent // those answered with 200
}

func newInbox(t *testing.T, answer func(attempt int) int) *inbox {
	in := &inbox{t: t, answer: answer}
	in.changed = sync.NewCond(&in.mu)
	in.server = httptest.NewServer(in)
	t.Cleanup(in.server.Close)
	return in
}

func (in *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.attempts++
	defer in.changed.Broadcast()
	in.tokens = append(in.tokens, r.Header.Get("Authorization"))
	if r.Header.Get("Content-Type") != "application/webhook+json" {
		in.t.Errorf("content type %q", r.Header.Get("Content-Type"))
	}
	e, err := lkwebhook.ReceiveWebhookEvent(r, auth.NewSimpleKeyProvider(key, secret))
	if err != nil {
		in.t.Errorf("not a webhook of ours: %v", err)
	}
	status := in.answer(in.attempts)
	if status == http.StatusOK {
		in.events = append(in.events, e)
	}
	if status == http.StatusFound {
		w.Header().Set("Location", "/elsewhere")
	}
	w.WriteHeader(status)
}

// await waits until ok, which is called with the inbox locked.
func (in *inbox) await(ok func() bool) {
	in.t.Helper()
	overdue := time.AfterFunc(20*time.Second, func() {
		in.t.Error("did not happen in 20 s")
		in.mu.Lock()
		defer in.mu.Unlock()
		ok = func() bool { return true }
		in.changed.Broadcast()
	})
	defer overdue.Stop()
	in.mu.Lock()
	defer in.mu.Unlock()
	for !ok() {
		in.changed.Wait()
	}
}

func always(status int) func(int) int { return func(int) int { return status } }

func start(t *testing.T, tm times, urls ...string) *Notifier {
	t.Helper()
	n, err := newNotifier(Options{URLs: urls, APIKey: key, Secret: secret, Log: slog.New(slog.DiscardHandler)}, tm)
	require.NoError(t, err)
	t.Cleanup(func() { _ = n.Close(t.Context()) })
	return n
}

func event(name, room string) *livekit.WebhookEvent {
	return &livekit.WebhookEvent{Event: name, Room: &livekit.Room{Name: room}}
}

// result returns how many events came to that result.
func (n *Notifier) result(name string) int {
	reg := prometheus.NewRegistry()
	reg.MustRegister(n.results)
	families, err := reg.Gather()
	if err != nil {
		panic(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if m.GetLabel()[0].GetValue() == name {
				return int(m.GetCounter().GetValue())
			}
		}
	}
	return 0
}

func TestEventsAreSignedAndWhole(t *testing.T) {
	in, second := newInbox(t, always(http.StatusOK)), newInbox(t, always(http.StatusOK))
	n := start(t, quick, in.server.URL+"/hook?x=1", second.server.URL)
	before := time.Now().Unix()
	e := event("track_published", "room")
	e.Participant = &livekit.ParticipantInfo{Identity: "an"}
	e.Track = &livekit.TrackInfo{Sid: "TR_1"}
	n.Notify(e)
	for _, in := range []*inbox{in, second} {
		in.await(func() bool { return len(in.events) == 1 })
		got := in.events[0]
		require.Equal(t, "track_published", got.Event)
		require.Equal(t, "room", got.Room.Name)
		require.Equal(t, "an", got.Participant.Identity)
		require.Equal(t, "TR_1", got.Track.Sid)
		require.True(t, strings.HasPrefix(got.Id, "EV_"))
		require.GreaterOrEqual(t, got.CreatedAt, before)
	}
	require.Equal(t, in.events[0].Id, second.events[0].Id)
	require.NoError(t, n.Close(t.Context()))
	require.Equal(t, 2, n.result(resultSent))
}

func TestFailedEventsAreSentAgainInOrder(t *testing.T) {
	const count = 20
	in := newInbox(t, func(attempt int) int {
		if attempt%3 != 0 { // each event at its third attempt
			return []int{http.StatusBadGateway, http.StatusTooManyRequests}[attempt%2]
		}
		return http.StatusOK
	})
	n := start(t, quick, in.server.URL)
	for i := range count {
		n.Notify(event(fmt.Sprint(i), "room"))
	}
	require.NoError(t, n.Close(t.Context()))
	require.Equal(t, 3*count, in.attempts)
	for i, e := range in.events {
		require.Equal(t, fmt.Sprint(i), e.Event)
	}
	require.Equal(t, count, n.result(resultSent))
}

func TestOrderIsKeptWithinEachRoom(t *testing.T) {
	in := newInbox(t, always(http.StatusOK))
	n := start(t, quick, in.server.URL)
	for i := range 300 {
		n.Notify(event(fmt.Sprint(i/10), fmt.Sprint("room-", i%10)))
	}
	require.NoError(t, n.Close(t.Context()))
	next := map[string]int{}
	for _, e := range in.events {
		require.Equal(t, fmt.Sprint(next[e.Room.Name]), e.Event, e.Room.Name)
		next[e.Room.Name]++
	}
	require.Len(t, in.events, 300)
}

// TestRefusedEventsAreNotSentAgain: what another attempt would not change.
func TestRefusedEventsAreNotSentAgain(t *testing.T) {
	for _, status := range []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusGone, http.StatusFound} {
		in := newInbox(t, always(status))
		n := start(t, quick, in.server.URL)
		n.Notify(event("x", "room"))
		require.NoError(t, n.Close(t.Context()))
		require.Equal(t, 1, in.attempts, "status %d", status)
		require.Equal(t, 1, n.result(resultFailed))
	}
}

func TestEventsAreGivenUpInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		attempts := 0
		tm := quick
		tm.giveUp = time.Second
		n := start(t, tm, "http://receiver")
		n.client.Transport = answer(func() int {
			attempts++
			return http.StatusInternalServerError
		})
		began := time.Now()
		n.Notify(event("x", "room"))
		require.NoError(t, n.Close(t.Context()))
		require.Greater(t, attempts, int(tm.giveUp/tm.most), "as often as is allowed")
		took := time.Since(began)
		require.LessOrEqual(t, took, tm.giveUp)
		require.Greater(t, took, tm.giveUp-tm.most)
		require.Equal(t, 1, n.result(resultFailed))
	})
}

// answer is a receiver without a network, by its status.
type answer func() int

func (a answer) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: a(), Status: "as told", Body: http.NoBody, Request: r}, nil
}

// TestFullLaneDropsTheNewest: a receiver that hangs holds up nobody, and what it
// cannot take is counted.
func TestFullLaneDropsTheNewest(t *testing.T) {
	release := make(chan struct{})
	in := newInbox(t, func(int) int {
		<-release
		return http.StatusOK
	})
	n := start(t, quick, in.server.URL)
	n.Notify(event("first", "room"))
	in.awaitAttempt(t)
	for i := range laneDepth + 7 {
		n.Notify(event(fmt.Sprint(i), "room"))
	}
	require.Equal(t, 7, n.result(resultDropped))
	close(release)
	require.NoError(t, n.Close(t.Context()))
	require.Len(t, in.events, laneDepth+1)
	require.Equal(t, fmt.Sprint(laneDepth-1), in.events[laneDepth].Event)
}

// awaitAttempt waits until a request is being answered: the inbox is locked then.
func (in *inbox) awaitAttempt(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		if in.mu.TryLock() {
			in.mu.Unlock()
			return false
		}
		return true
	}, 10*time.Second, time.Millisecond)
}

// TestCloseGivesUpAtItsTime: a receiver that is down does not keep the process.
func TestCloseGivesUpAtItsTime(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	tm := quick
	tm.first, tm.most, tm.giveUp = time.Hour, time.Hour, 10*time.Hour
	n := start(t, tm, gone.URL)
	for range 10 {
		n.Notify(event("x", "room"))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, n.Close(ctx), context.DeadlineExceeded)
	require.Equal(t, 10, n.result(resultFailed))
	n.Notify(event("late", "room"))
	require.Equal(t, 1, n.result(resultDropped))
}

// TestSignatureIsForItsBody: another body under the signature is refused.
func TestSignatureIsForItsBody(t *testing.T) {
	in := newInbox(t, always(http.StatusOK))
	n := start(t, quick, in.server.URL)
	n.Notify(event("x", "room"))
	require.NoError(t, n.Close(t.Context()))
	token := in.tokens[0]
	forged := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(`{"event":"room_finished"}`))
	forged.Header.Set("Authorization", token)
	_, err := lkwebhook.ReceiveWebhookEvent(forged, auth.NewSimpleKeyProvider(key, secret))
	require.ErrorIs(t, err, lkwebhook.ErrInvalidChecksum)
}

func TestLogsShowNoSecrets(t *testing.T) {
	var text strings.Builder
	var mu sync.Mutex
	log := slog.New(slog.NewTextHandler(writer(func(b []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return text.Write(b)
	}), nil))
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	tm := quick
	tm.giveUp = 0
	at := strings.Replace(gone.URL, "http://", "http://user:geheim1@", 1) + "/p?t=geheim2"
	n, err := newNotifier(Options{URLs: []string{at}, APIKey: key, Secret: secret, Log: log}, tm)
	require.NoError(t, err)
	n.Notify(event("x", "room"))
	require.NoError(t, n.Close(t.Context()))
	require.Contains(t, text.String(), "not delivered")
	require.NotContains(t, text.String(), "geheim")
	require.NotContains(t, text.String(), secret)
}

type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }

var _ io.Writer = writer(nil)

func TestBadOptions(t *testing.T) {
	good := Options{URLs: []string{"https://a/b"}, APIKey: key, Secret: secret, Log: slog.New(slog.DiscardHandler)}
	for i, change := range []func(*Options){
		func(o *Options) { o.URLs = []string{"ftp://a"} }, func(o *Options) { o.URLs = []string{"://"} },
		func(o *Options) { o.APIKey = "" }, func(o *Options) { o.Secret = "" }, func(o *Options) { o.Log = nil },
	} {
		o := good
		o.URLs = slices.Clone(good.URLs)
		change(&o)
		_, err := New(o)
		require.Error(t, err, "case %d", i)
	}
}
