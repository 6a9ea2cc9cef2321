package office

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"

	"diemcau/signaling/account"
	"diemcau/signaling/api"
	"diemcau/signaling/audit"
	"diemcau/signaling/conference"
	"diemcau/signaling/directory"
	"diemcau/signaling/journal"
	"diemcau/signaling/live"
	"diemcau/signaling/meeting"
	"diemcau/signaling/store"
)

// Options are what an Office needs.
type Options struct {
	DatabaseURL string // "sqlite:PATH" or "postgres://…"; required
	DataDir     string // a directory that exists; required
	// Demo fills an empty store with the demo province, its users with one known
	// password, and a meeting. A store with other data is refused.
	Demo bool
	// HTTPS says that browsers come by HTTPS although this process does not speak
	// TLS itself.
	HTTPS   bool
	Origins []string // further origins of our pages, for a proxy that changes Host
	OIDC    *OIDC    // nil: no single sign-on

	Mint    conference.Tokens     // required
	Media   conference.Media      // nil: no media
	Log     *slog.Logger          // nil: slog.Default
	Metrics prometheus.Registerer // nil: not exported
	Now     func() time.Time      // nil: time.Now
	Hash    account.HashParams    // zero: account.DefaultHash; tests take a cheap one
}

// Office is one process's people and meetings.
type Office struct {
	o          Options
	db         *store.DB
	heads      *journal.Heads
	journal    *journal.Journal
	audit      *audit.Log
	directory  *directory.Directory
	conference *conference.Service
	hub        *live.Hub
	lobby      *lobby
	accounts   *account.Service
	handler    *account.Handler

	stopSweep context.CancelFunc
	swept     chan struct{} // closed: the sweeper has ended
	closers   []func() error
}

// Open starts everything; Close ends it.
func Open(ctx context.Context, o Options) (*Office, error) {
	if o.DatabaseURL == "" || o.DataDir == "" || o.Mint == nil {
		return nil, errors.New("office: DatabaseURL, DataDir and Mint are required")
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	f := &Office{o: o}
	if err := f.open(ctx); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// closing has what was opened closed later, the last first.
func (f *Office) closing(fn func() error) { f.closers = append(f.closers, fn) }

func quiet(fn func()) func() error {
	return func() error { fn(); return nil }
}

func (f *Office) open(ctx context.Context) (err error) {
	if err := f.openStore(ctx); err != nil {
		return err
	}
	ballots, err := secretFile(filepath.Join(f.o.DataDir, "ballot.key"))
	if err != nil {
		return err
	}
	f.conference, err = conference.New(conference.Options{
		DB: f.db, People: people{f.directory}, Media: f.o.Media, Tokens: f.o.Mint, Audit: f.audit, Keys: ballots,
		Log: f.o.Log.With("part", "conference"), Now: f.o.Now, Metrics: f.o.Metrics,
	})
	if err != nil {
		return fmt.Errorf("office: %w", err)
	}
	owner, err := ownerName(f.o.DataDir)
	if err != nil {
		return err
	}
	f.lobby = newLobby(f.o.Log.With("part", "lobby"))
	f.hub, err = live.New(live.Options{
		DB: f.db, Journal: f.journal, Owner: owner, Log: f.o.Log.With("part", "live"), Now: f.o.Now,
		Committed: func(s *meeting.State, events []meeting.Event) {
			f.conference.Committed(s, events)
			f.lobby.committed(events)
		},
	})
	if err != nil {
		return fmt.Errorf("office: %w", err)
	}
	f.closing(quiet(f.hub.Close))
	f.conference.SetHub(f.hub)
	f.closing(quiet(f.conference.Close))
	if err := f.openAccounts(ctx); err != nil {
		return err
	}
	f.lobby.start(f.hub, f.accounts)
	f.closing(quiet(f.lobby.close))
	looking := newRights(f.o.Log.With("part", "rights"), f.accounts.EndGone, f.conference.RightsChanged)
	f.directory.OnChange(looking.changed)
	f.closing(quiet(looking.close))
	if f.o.Demo {
		return f.demo(ctx)
	}
	return nil
}

func (f *Office) openStore(ctx context.Context) (err error) {
	if f.db, err = store.Open(ctx, f.o.DatabaseURL); err != nil {
		return fmt.Errorf("office: %w", err)
	}
	f.closing(f.db.Close)
	if f.heads, err = journal.OpenHeads(f.o.DataDir); err != nil {
		return fmt.Errorf("office: %w", err)
	}
	f.closing(f.heads.Close)
	f.journal = journal.Start(f.db, f.heads, journal.Options{Now: f.o.Now})
	f.closing(quiet(f.journal.Close))
	f.audit, err = audit.Start(audit.Options{DB: f.db, Log: f.o.Log.With("part", "audit"), Metrics: f.o.Metrics, Now: f.o.Now})
	if err != nil {
		return fmt.Errorf("office: %w", err)
	}
	f.closing(quiet(f.audit.Close))
	f.directory = directory.New(f.db)
	return nil
}

func (f *Office) openAccounts(ctx context.Context) (err error) {
	key, err := account.LoadKey(filepath.Join(f.o.DataDir, "account.key"))
	if err != nil {
		return fmt.Errorf("office: %w", err)
	}
	options := account.Options{
		DB: f.db, Users: &users{db: f.db, directory: f.directory, oidc: f.o.OIDC, log: f.o.Log}, Points: points{f.directory},
		Access: &access{directory: f.directory, hub: f.hub}, Key: key, HTTPS: f.o.HTTPS, Origins: f.o.Origins, Hash: f.o.Hash,
		Now: f.o.Now, Log: f.o.Log.With("part", "account"), Audit: f.note,
		Ended: f.sessionsEnded, GuestChanged: f.lobby.changed,
	}
	if f.o.OIDC != nil {
		options.OIDC = &f.o.OIDC.OIDCOptions
	}
	if f.accounts, err = account.New(ctx, options); err != nil {
		return fmt.Errorf("office: %w", err)
	}
	f.handler = account.NewHandler(f.accounts)
	sweeping, stop := context.WithCancel(context.Background())
	f.stopSweep, f.swept = stop, make(chan struct{})
	go func() {
		defer close(f.swept)
		f.accounts.Run(sweeping)
	}()
	f.closing(func() error {
		f.stopSweep()
		<-f.swept
		return nil
	})
	return nil
}

// sessionsEnded closes what sessions had open.
func (f *Office) sessionsEnded(over []account.Over) {
	f.conference.SessionsEnded(over)
	f.lobby.left(over)
}

// note takes a line of the sign-in package, which does not wait.
func (f *Office) note(_ context.Context, r account.Record) {
	f.audit.Note(audit.Record{At: r.At, Who: r.Who, From: r.From, Action: r.Action, Object: r.Object, Result: r.Result})
}

// API puts the API on r, a router at /api/v1.
func (f *Office) API(r chi.Router) error {
	// Ballots of secret votes come before whatever looks who asks, or notes it.
	r.Method(http.MethodPost, "/ballots", f.conference.BallotBox())
	var failed error
	r.Group(func(r chi.Router) {
		r.Use(f.handler.Authenticate)
		if _, err := api.New(api.Options{
			Router: r, Directory: f.directory, Accounts: f.accounts, Audit: f.audit, Log: f.o.Log.With("part", "api"),
			Register: []func(huma.API){func(a huma.API) { conference.Register(a, f.conference) }},
		}); err != nil {
			failed = fmt.Errorf("office: %w", err)
			return
		}
		f.handler.Routes(r)
	})
	return failed
}

// Socket serves /ws/v1/meetings/{id}.
func (f *Office) Socket() http.Handler {
	return audit.WithClient(f.handler.Authenticate(f.conference.Socket()))
}

// readyWithin is how long the store may take to answer that it is there.
const readyWithin = 2 * time.Second

// Ready tells whether meetings can be served: the store answers.
func (f *Office) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	if err := f.db.Ping(ctx); err != nil {
		return fmt.Errorf("office: %w", err)
	}
	return nil
}

// Close ends everything, the last that was opened first. It may be called again.
func (f *Office) Close() error {
	var errs []error
	for i := len(f.closers) - 1; i >= 0; i-- {
		errs = append(errs, f.closers[i]())
	}
	f.closers = nil
	return errors.Join(errs...)
}

// ownerName is the name of this data directory in leases of meetings. Only one process
// has the directory open, so that one that was killed and starts again takes its
// meetings over at once and does not wait until their leases have run out.
func ownerName(dataDir string) (string, error) {
	id, err := secretFile(filepath.Join(dataDir, "node.id"))
	if err != nil {
		return "", err
	}
	host, err := os.Hostname()
	if err != nil || len(host) > 60 {
		host = "diemcau"
	}
	return fmt.Sprintf("%s-%x", host, id[:8]), nil
}

// secretFile reads 32 random bytes, making them if there are none. It lets one
// of several processes win, like account.LoadKey.
func secretFile(path string) ([]byte, error) {
	const length = 32
	for range 2 {
		secret, err := os.ReadFile(filepath.Clean(path))
		switch {
		case err == nil && len(secret) != length:
			return nil, fmt.Errorf("office: %s has %d bytes instead of %d", path, len(secret), length)
		case err == nil:
			return secret, nil
		case !errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("office: %w", err)
		}
		if err := makeSecret(path, length); err != nil {
			return nil, fmt.Errorf("office: %w", err)
		}
	}
	return nil, fmt.Errorf("office: %s cannot be made", path)
}

func makeSecret(path string, length int) error {
	file, err := os.CreateTemp(filepath.Dir(path), ".key-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }()
	secret := make([]byte, length)
	_, _ = rand.Read(secret) // never fails
	_, err = file.Write(secret)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Link(file.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
