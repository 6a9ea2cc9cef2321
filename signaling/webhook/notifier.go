package webhook

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/livekit/protocol/utils/guid"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
)

const (
	lanes     = 4   // per URL
	laneDepth = 512 // events that wait in a lane

	attemptTime = 10 * time.Second       // for one attempt at a delivery
	retryFirst  = 250 * time.Millisecond // before the second attempt; then twice as long each time
	retryMost   = 15 * time.Second
	giveUpAfter = 5 * time.Minute // since the event happened

	complainEvery = 10 * time.Second // about a URL that takes no events
)

// Results of an event at one URL, for the metric.
const (
	resultSent    = "sent"
	resultFailed  = "failed"  // refused, or not taken in time
	resultDropped = "dropped" // its lane was full
)

// Options are what a Notifier needs.
type Options struct {
	URLs    []string              // http or https
	APIKey  string                // that signs the events
	Secret  string                // of that key
	Log     *slog.Logger          // required
	Metrics prometheus.Registerer // nil: metrics are kept and not exported
}

// Notifier sends events. Make one with New, end it with Close.
type Notifier struct {
	key, secret string
	log         *slog.Logger
	client      *http.Client
	results     *prometheus.CounterVec
	seed        maphash.Seed
	receivers   []*receiver
	ctx         context.Context // of deliveries
	cancel      context.CancelFunc
	work        sync.WaitGroup // the lanes
	times       times

	mu     sync.RWMutex
	closed bool // guarded by mu; the lanes are closed with it
}

// times are how often and how long to try; tests have shorter ones.
type times struct{ attempt, first, most, giveUp time.Duration }

// receiver is one URL.
type receiver struct {
	url      string
	name     string // the URL as logs show it: without a query or password, which may be secret
	lanes    [lanes]chan *livekit.WebhookEvent
	complain rate.Sometimes
}

// New returns a Notifier whose lanes are running. Errors: an option is missing, a
// URL is none, or Metrics refuses a name.
func New(o Options) (*Notifier, error) {
	return newNotifier(o, times{attemptTime, retryFirst, retryMost, giveUpAfter})
}

func newNotifier(o Options, t times) (*Notifier, error) {
	if o.APIKey == "" || o.Secret == "" || o.Log == nil {
		return nil, errors.New("webhook: APIKey, Secret and Log are required")
	}
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:errcheck // it is one
	transport.MaxIdleConnsPerHost = lanes
	n := &Notifier{
		key: o.APIKey, secret: o.Secret, log: o.Log, times: t, seed: maphash.MakeSeed(),
		client: &http.Client{
			Transport: transport, Timeout: t.attempt,
			// A redirected POST would become a GET, and the event would be lost.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		results: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "diemcau", Subsystem: "webhook", Name: "events_total",
			Help: "Events for webhook receivers, once for each URL, by what became of them.",
		}, []string{"result"}),
	}
	for _, text := range o.URLs {
		u, err := url.Parse(text)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
			return nil, errors.New("webhook: a URL must begin with http:// or https:// and name a host")
		}
		shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
		r := &receiver{url: text, name: shown.String(), complain: rate.Sometimes{First: 1, Interval: complainEvery}}
		for i := range r.lanes {
			r.lanes[i] = make(chan *livekit.WebhookEvent, laneDepth)
		}
		n.receivers = append(n.receivers, r)
	}
	if o.Metrics != nil {
		if err := o.Metrics.Register(n.results); err != nil {
			return nil, fmt.Errorf("webhook: %w", err)
		}
	}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	for _, r := range n.receivers {
		for _, lane := range r.lanes {
			n.work.Go(func() {
				for e := range lane {
					n.deliver(r, e)
				}
			})
		}
	}
	return n, nil
}

// Notify queues an event for every URL and gives it an id and a time. It never
// blocks. The event belongs to the Notifier from then on.
func (n *Notifier) Notify(e *livekit.WebhookEvent) {
	e.Id, e.CreatedAt = guid.New("EV_"), time.Now().Unix()
	lane := maphash.String(n.seed, e.GetRoom().GetName()) % lanes
	n.mu.RLock()
	defer n.mu.RUnlock()
	for _, r := range n.receivers {
		if !n.closed {
			select {
			case r.lanes[lane] <- e:
				continue
			default:
			}
		}
		n.results.WithLabelValues(resultDropped).Inc()
		r.complain.Do(func() {
			n.log.Warn("webhook event dropped: too many are waiting", "url", r.name, "event", e.Event, "room", e.GetRoom().GetName())
		})
	}
}

// Close takes no more events and delivers those that wait until ctx ends; what
// is left then is given up, and ctx's error returned.
func (n *Notifier) Close(ctx context.Context) error {
	n.mu.Lock()
	if !n.closed {
		n.closed = true
		for _, r := range n.receivers {
			for _, lane := range r.lanes {
				close(lane)
			}
		}
	}
	n.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.work.Wait()
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = fmt.Errorf("webhook: events were given up: %w", ctx.Err())
	}
	n.cancel()
	<-done
	n.client.CloseIdleConnections()
	return err
}
