package conference

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	lkauth "github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"

	"diemcau/signaling/live"
	"diemcau/signaling/meeting"
	"diemcau/signaling/problem"
)

const (
	tokenFor     = 10 * time.Minute
	companion    = "c-" // begins the device of a companion
	permitWithin = 10 * time.Second
	permitRetry  = time.Second
	permitAgain  = 2 * time.Second // after a join: see Admit
	lookAtOnce   = 200             // identities whose grants are worked out in one go
)

var deviceForm = regexp.MustCompile(`^[a-z0-9-]{1,16}$`)

// ticket is what a client joins the media with.
type ticket struct {
	Token    string        `json:"token" doc:"LiveKit access token, good for joining within 10 minutes"`
	URL      string        `json:"url" doc:"Path of the signalling socket on this server"`
	Identity string        `json:"identity"`
	Room     string        `json:"room"`
	Grant    meeting.Grant `json:"grant" doc:"What the meeting's present state allows; changes are made in the running connection"`
}

// grantOf is what an identity may do now. A companion, a phone beside the device
// that is in the room, is in the list of participants for nobody and receives and
// sends no media at all: LiveKit's grants know no "pictures without sound", and a
// phone that plays what the hall plays is the echo that this mode is there to
// avoid. It votes, queues and reads over the meeting's own socket.
func grantOf(st *meeting.State, identity string) meeting.Grant {
	g := meeting.Grants(st, identity)
	if isCompanion(identity) {
		g.Hidden, g.Subscribe, g.Publish = true, false, []string{}
	}
	return g
}

func isCompanion(identity string) bool {
	_, device, _ := strings.Cut(identity, "#")
	return strings.HasPrefix(device, companion)
}

// join gives a ticket for the media of a meeting.
func (s *Service) join(ctx context.Context, id, device string, beside bool) (ticket, error) {
	var g meeting.Grant
	var identity, name string
	var role meeting.Role
	bad := false
	p, err := s.look(ctx, id, func(st *meeting.State, v meeting.Viewer) {
		identity = v.ID
		if strings.HasPrefix(v.ID, "user:") {
			bad = !deviceForm.MatchString(device) || strings.HasPrefix(device, companion)
			if beside {
				device = companion + device
			}
			identity += "#" + device
		} else {
			bad = beside || device != "" && !deviceForm.MatchString(device)
		}
		g = grantOf(st, identity)
		if person := st.People[v.ID]; person != nil {
			name, role = person.Name, person.Role
		}
	})
	var t ticket
	switch {
	case err != nil:
	case bad:
		err = badDevice
	case !g.Join:
		err = notOpen
	case !s.seats.take(p.SessionID, seat{id, identity}):
		err = problem.NotSignedIn // since this request began
	default:
		t = ticket{URL: "/rtc", Identity: identity, Room: id, Grant: g}
		t.Token, err = s.o.Tokens.Mint(claims(id, identity, name, role, g), tokenFor)
	}
	s.note(ctx, p.Identity, "media.join", "meeting:"+known(id), codeOf(err))
	return t, err
}

func known(id string) string {
	if meetingForm.MatchString(id) {
		return id
	}
	return "unknown"
}

// claims are a grant in LiveKit's form.
func claims(room, identity, name string, role meeting.Role, g meeting.Grant) *lkauth.ClaimGrants {
	return &lkauth.ClaimGrants{Identity: identity, Name: name, Video: VideoGrant(room, g), Attributes: map[string]string{"role": string(role)}}
}

// VideoGrant is what a grant lets somebody do in a room, in LiveKit's form.
func VideoGrant(room string, g meeting.Grant) *lkauth.VideoGrant {
	video := &lkauth.VideoGrant{RoomJoin: g.Join, Room: room, Hidden: g.Hidden}
	video.SetCanSubscribe(g.Subscribe)
	video.SetCanPublish(len(g.Publish) > 0)
	video.SetCanPublishData(false) // what is said in a meeting goes through the meeting
	var sources []livekit.TrackSource
	for _, source := range g.Publish {
		switch source {
		case "camera":
			sources = append(sources, livekit.TrackSource_CAMERA)
		case "microphone":
			sources = append(sources, livekit.TrackSource_MICROPHONE)
		case "screen_share":
			sources = append(sources, livekit.TrackSource_SCREEN_SHARE, livekit.TrackSource_SCREEN_SHARE_AUDIO)
		}
	}
	if len(sources) > 0 {
		video.SetCanPublishSources(sources)
	}
	return video
}

// Admit is what the meeting's present state lets an identity do, for the SFU at
// every join: it stands in place of the token's grants. ours is false for a room
// that is no meeting, whose tokens count as they are. An error means that it is not
// known: nobody is let in then.
func (s *Service) Admit(ctx context.Context, room, identity string) (g meeting.Grant, ours bool, err error) {
	if !meetingForm.MatchString(room) {
		return g, false, nil
	}
	err = s.hub.Look(ctx, room, func(st *meeting.State) { g = grantOf(st, identity) })
	switch {
	case errors.Is(err, live.ErrNoMeeting):
		return meeting.Grant{}, false, nil
	case err != nil:
		return meeting.Grant{}, true, err
	}
	if s.seats.isBarred(room, identity) {
		return meeting.Grant{}, true, nil
	}
	// What changes between here and the moment at which the SFU lists the
	// participant would be missed.
	s.permits.later(room)
	return g, true, nil
}

// permitter sets the grants of those present when they may have changed.
type permitter struct {
	s    *Service
	wake chan struct{}

	mu    sync.Mutex
	dirty map[string]time.Time // guarded by mu: by meeting, when to look

	given map[string]map[string]meeting.Grant // of the loop: by meeting and identity, what was set last
}

func newPermitter(s *Service) *permitter {
	return &permitter{s: s, wake: make(chan struct{}, 1), dirty: make(map[string]time.Time), given: make(map[string]map[string]meeting.Grant)}
}

// note has a meeting looked at. Many notes of one meeting are one.
func (m *permitter) note(id string) { m.at(id, time.Time{}) }

func (m *permitter) later(id string) { m.at(id, time.Now().Add(permitAgain)) }

func (m *permitter) at(id string, when time.Time) {
	if m.s.o.Media == nil {
		return
	}
	m.mu.Lock()
	if old, ok := m.dirty[id]; !ok || when.Before(old) {
		m.dirty[id] = when
	}
	m.mu.Unlock()
	m.poke()
}

// poke has the loop look what is to be done.
func (m *permitter) poke() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// expel adds to ids the meetings in which somebody has a seat by a session that is
// not known, and one of theirs was ended.
func (m *permitter) expel(ids []string) []string {
	leavers := m.s.seats.leavers()
	if len(leavers) == 0 {
		return ids
	}
	for room, there := range m.given {
		for identity := range there {
			if m.s.seats.stray(leavers, room, identity) && !slices.Contains(ids, room) {
				ids = append(ids, room)
			}
		}
	}
	return ids
}

// due takes the meetings whose time has come, and says when the next is.
func (m *permitter) due(now time.Time) (ids []string, next time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	next = time.Hour
	for id, when := range m.dirty {
		if wait := when.Sub(now); wait > 0 {
			next = min(next, wait)
			continue
		}
		ids = append(ids, id)
		delete(m.dirty, id)
	}
	slices.Sort(ids)
	return ids, next
}

func (m *permitter) loop() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-m.s.stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	for {
		select {
		case <-m.wake:
		case <-timer.C:
		case <-m.s.stop:
			return
		}
		ids, next := m.due(time.Now())
		for _, id := range m.expel(ids) {
			if err := m.set(ctx, id); err != nil && ctx.Err() == nil {
				m.s.metrics.permits.WithLabelValues("failed").Inc()
				m.s.o.Log.Warn("grants not set; trying again", "meeting", id, "error", err)
				m.at(id, time.Now().Add(permitRetry))
				next = min(next, permitRetry)
			}
		}
		timer.Reset(next)
	}
}

// set makes the grants of all present what they are now.
func (m *permitter) set(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, permitWithin)
	defer cancel()
	present, err := m.s.o.Media.Present(ctx, id)
	if err != nil {
		return err
	}
	if len(present) == 0 {
		delete(m.given, id)
		return nil
	}
	grants := make(map[string]meeting.Grant, len(present))
	for some := range slices.Chunk(present, lookAtOnce) {
		if err := m.s.hub.Look(ctx, id, func(st *meeting.State) {
			for _, identity := range some {
				grants[identity] = grantOf(st, identity)
			}
		}); err != nil {
			return err
		}
	}
	given := m.given[id]
	fresh := make(map[string]meeting.Grant, len(present))
	m.given[id] = fresh // what fails is missing there and is set again
	var errs []error
	for identity, g := range grants {
		if m.s.seats.isBarred(id, identity) {
			g = meeting.Grant{}
		}
		if old, ok := given[identity]; ok && same(old, g) {
			fresh[identity] = g
			continue
		}
		var err error
		if g.Join {
			err = m.s.o.Media.Permit(ctx, id, identity, g)
		} else {
			err = m.s.o.Media.Remove(ctx, id, identity)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		m.s.metrics.permits.WithLabelValues("ok").Inc()
		if g.Join {
			fresh[identity] = g
		}
	}
	return errors.Join(errs...)
}

func same(a, b meeting.Grant) bool {
	return a.Join == b.Join && a.Hidden == b.Hidden && a.Subscribe == b.Subscribe && slices.Equal(a.Publish, b.Publish)
}
