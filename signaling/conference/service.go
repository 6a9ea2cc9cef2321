package conference

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"sync"
	"time"

	lkauth "github.com/livekit/protocol/auth"
	"github.com/prometheus/client_golang/prometheus"

	"diemcau/signaling/audit"
	"diemcau/signaling/ballot"
	"diemcau/signaling/live"
	"diemcau/signaling/meeting"
	"diemcau/signaling/store"
)

// People is what is needed of the directory.
type People interface {
	// Person gives name, unit and position of "user:<id>" or "point:<id>"; not the
	// role. An error that wraps sql.ErrNoRows, or a *directory.Error of that
	// meaning, says there is nobody of this id.
	Person(ctx context.Context, identity string) (meeting.PersonInfo, error)
	// Permissions gives what an identity may do in a unit.
	Permissions(ctx context.Context, identity, unit string) (meeting.PermissionSet, error)
}

// Units is asked for the names of units if People has it; without it a unit is
// shown by its id.
type Units interface {
	UnitName(ctx context.Context, id string) (string, error)
}

// Media is what is needed of the SFU.
type Media interface {
	// Permit makes a participant's grants what they are now; unknown identities are
	// no error. Must not block for long.
	Permit(ctx context.Context, room, identity string, g meeting.Grant) error
	Remove(ctx context.Context, room, identity string) error
	// Present gives the identities in a room, with device; none for no such room.
	Present(ctx context.Context, room string) ([]string, error)
}

// Tokens mints LiveKit tokens.
type Tokens interface {
	Mint(grants *lkauth.ClaimGrants, ttl time.Duration) (string, error)
}

// Audit takes lines of the audit log; it does not wait.
type Audit interface {
	Note(r audit.Record)
}

// Options are what a Service needs.
type Options struct {
	DB     *store.DB // required
	Hub    *live.Hub // or by SetHub, before anything else is called
	People People    // required
	Media  Media     // nil: no media, as in tests
	Tokens Tokens    // required
	Audit  Audit     // nil: none
	// Keys seals the private keys of open secret votes; 32 random bytes that stay
	// the same. Required.
	Keys    []byte
	Log     *slog.Logger          // required
	Now     func() time.Time      // nil: time.Now
	Metrics prometheus.Registerer // nil: metrics are kept and not exported
}

// Service serves meetings. It is safe for concurrent use.
type Service struct {
	o       Options
	hub     *live.Hub
	metrics *metrics
	keys    *ballot.Keys

	sockets  *sockets
	over     *endings
	seats    *seats
	index    *indexer
	permits  *permitter
	boxes    *boxes
	commands *limiter // by session
	reads    *limiter // by session
	issues   *limiter // by session
	casts    *limiter // by address, in memory only

	mu    sync.Mutex
	units map[string]string // guarded by mu: by meeting, the unit that holds it

	stop    chan struct{}
	once    sync.Once
	running sync.WaitGroup
}

// Bounds of what one session, or for casts one address, may ask.
const (
	commandsPerSecond, commandsAtOnce = 20, 100
	readsPerSecond, readsAtOnce       = 20, 200
	issuesPerSecond, issuesAtOnce     = 1, 10
	castsPerSecond, castsAtOnce       = 500, 4000 // a hall is one address
	maxUnitsKnown                     = 10000
)

// New makes a Service, which Close ends.
func New(o Options) (*Service, error) {
	if o.DB == nil || o.People == nil || o.Tokens == nil || o.Log == nil {
		return nil, errors.New("conference: DB, People, Tokens and Log are required")
	}
	if len(o.Keys) < 32 {
		return nil, errors.New("conference: Keys must have 32 bytes")
	}
	if len(o.Keys) > 32 {
		sum := sha256.Sum256(o.Keys)
		o.Keys = sum[:]
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Service{o: o, hub: o.Hub, units: make(map[string]string), stop: make(chan struct{})}
	var err error
	if s.metrics, err = newMetrics(o.Metrics); err != nil {
		return nil, err
	}
	s.keys = ballot.NewKeys(4)
	s.over = newEndings(o.Now)
	s.sockets, s.seats = newSockets(s.over), newSeats(s.over, o.Now)
	s.index = newIndexer(s)
	s.permits = newPermitter(s)
	s.boxes = newBoxes(s)
	s.commands = newLimiter(commandsPerSecond, commandsAtOnce, o.Now)
	s.reads = newLimiter(readsPerSecond, readsAtOnce, o.Now)
	s.issues = newLimiter(issuesPerSecond, issuesAtOnce, o.Now)
	s.casts = newLimiter(castsPerSecond, castsAtOnce, o.Now)
	if s.hub != nil {
		s.start()
	}
	return s, nil
}

// SetHub gives the hub to a Service that was made without, once.
func (s *Service) SetHub(h *live.Hub) {
	s.hub = h
	s.start()
}

func (s *Service) start() {
	for _, loop := range []func(){s.index.loop, s.permits.loop, s.boxes.keep} {
		s.running.Add(1)
		go func() {
			defer s.running.Done()
			loop()
		}()
	}
}

// Close closes all sockets, commits the ballots that are held, writes what the
// index still lacks and stops. It comes before the hub's Close.
func (s *Service) Close() {
	s.once.Do(func() {
		s.sockets.closeAll()
		s.boxes.close()
		close(s.stop)
	})
	s.running.Wait()
	s.keys.Close()
}

// Committed is for live.Options: it notes what a commit asks for and returns. It
// runs in the meeting's loop.
func (s *Service) Committed(st *meeting.State, events []meeting.Event) {
	var listed, granted, voted bool
	for _, e := range events {
		switch b := e.Body.(type) {
		case *meeting.MeetingCreated, *meeting.MeetingEdited:
			s.knowUnit(st.ID, st.Info.Unit)
			listed = true
		case *meeting.MeetingSubmitted, *meeting.MeetingReturned, *meeting.MeetingApproved, *meeting.MeetingStarted,
			*meeting.MeetingPaused, *meeting.MeetingResumed, *meeting.MeetingEnded, *meeting.MeetingArchived,
			*meeting.MeetingCancelled, *meeting.PeopleInvited, *meeting.PersonChanged, *meeting.PersonRemoved, *meeting.LobbySettled:
			listed, granted = true, true
		case *meeting.ChairTaken, *meeting.SpeakCalled, *meeting.SpeakStarted, *meeting.SpeakPaused, *meeting.SpeakResumed,
			*meeting.SpeakFinished, *meeting.SpeakWithdrawn, *meeting.SpeakRefused, *meeting.CallStarted, *meeting.CallAccepted,
			*meeting.CallEnded, *meeting.DelegationAccepted, *meeting.DelegationEnded, *meeting.AbsenceSettled:
			granted = true
		case *meeting.VoteClosed:
			voted = s.boxes.over(st.ID, b.Vote) || voted
		case *meeting.VoteCancelled:
			voted = s.boxes.over(st.ID, b.Vote) || voted
		}
	}
	if listed {
		s.index.note(rowOf(st))
	}
	if granted {
		s.permits.note(st.ID)
	}
	if voted {
		s.boxes.wake()
	}
}

func (s *Service) knowUnit(id, unit string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.units) >= maxUnitsKnown {
		clear(s.units)
	}
	s.units[id] = unit
}

// unitOf is the unit that holds a meeting. The first time after the start it also
// brings the meeting's row in the index up to date.
func (s *Service) unitOf(ctx context.Context, id string) (string, error) {
	s.mu.Lock()
	unit, ok := s.units[id]
	s.mu.Unlock()
	if ok {
		return unit, nil
	}
	var r *row
	if err := s.hub.Look(ctx, id, func(st *meeting.State) {
		unit, r = st.Info.Unit, rowOf(st)
	}); err != nil {
		return "", err
	}
	s.knowUnit(id, unit)
	s.index.note(r)
	return unit, nil
}

// note leaves a line in the audit log.
func (s *Service) note(ctx context.Context, who, action, object, result string) {
	if s.o.Audit != nil {
		s.o.Audit.Note(audit.Record{At: s.o.Now(), Who: who, From: audit.Address(ctx), Action: action, Object: object, Result: result})
	}
}
