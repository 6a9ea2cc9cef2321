package turn

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pion/stun/v4"
	"github.com/pion/turn/v5"
	"golang.org/x/time/rate"
)

const (
	// credentialLife is how long credentials make new relayed addresses. Those that
	// exist live as long as their participant.
	credentialLife = 12 * time.Hour
	// maxPerSession bounds the relayed addresses of one participant: one for each
	// peer connection, URL and network interface, and once more during an ICE restart.
	maxPerSession = 12
	maxRelays     = 4096            // relayed addresses of all participants
	sessionRate   = 40e6 / 8        // bytes a second that are relayed each way for one participant
	sessionBurst  = 2 * 1024 * 1024 // bytes at once
	maxUsername   = 128             // bytes
)

// session is what one participant may use. Its fields belong to sessions.mu,
// except the limiters, which lock themselves.
type session struct {
	relays   map[*relay]struct{}
	up, down *rate.Limiter // from the client, to the client
}

// sessions are the participants that hold credentials.
type sessions struct {
	mu    sync.Mutex
	byID  map[string]*session
	total int // relays of all
}

func (s *sessions) open(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byID[id] == nil {
		s.byID[id] = &session{
			relays: make(map[*relay]struct{}),
			up:     rate.NewLimiter(sessionRate, sessionBurst),
			down:   rate.NewLimiter(sessionRate, sessionBurst),
		}
	}
}

func (s *sessions) exists(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byID[id] != nil
}

func (s *sessions) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

// hasRoom says whether a participant may have another relayed address.
func (s *sessions) hasRoom(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.byID[id]
	return e != nil && len(e.relays) < maxPerSession && s.total < maxRelays
}

var (
	errNoSession = errors.New("no such participant")
	errQuota     = errors.New("too many relayed addresses")
)

// add counts a relay, which remove must take away again.
func (s *sessions) add(id string, r *relay) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.byID[id]
	if e == nil {
		return errNoSession
	}
	if len(e.relays) >= maxPerSession || s.total >= maxRelays {
		return errQuota
	}
	r.owner, r.up, r.down = e, e.up, e.down
	e.relays[r] = struct{}{}
	s.total++
	return nil
}

func (s *sessions) remove(r *relay) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := r.owner.relays[r]; ok {
		delete(r.owner.relays, r)
		s.total--
	}
}

// end forgets a participant and closes its relays.
func (s *sessions) end(id string) {
	s.mu.Lock()
	e := s.byID[id]
	delete(s.byID, id)
	var relays []*relay
	if e != nil {
		for r := range e.relays {
			relays = append(relays, r)
		}
	}
	s.mu.Unlock()
	for _, r := range relays {
		_ = r.Close()
	}
}

func (s *sessions) closeAll() {
	s.mu.Lock()
	ids := make([]string, 0, len(s.byID))
	for id := range s.byID {
		ids = append(ids, id)
	}
	s.mu.Unlock()
	for _, id := range ids {
		s.end(id)
	}
}

// credentials makes a user name that says until when it is good and for whom,
// and the password that proves that we made it: HMAC-SHA256 under a secret of
// this process (the form of draft-uberti-behave-turn-rest-00 section 2.2).
func (s *Server) credentials(participant string) (username, password string) {
	s.sessions.open(participant)
	username = fmt.Sprintf("%d:%s", time.Now().Add(credentialLife).Unix(), participant)
	return username, s.password(username)
}

func (s *Server) password(username string) string {
	mac := hmac.New(sha256.New, s.secret[:])
	mac.Write([]byte(username))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// authenticate gives pion/turn the key that a request must be signed with. The
// relayed addresses belong to the participant, so that newer credentials of the
// same one can refresh them.
func (s *Server) authenticate(a *turn.RequestAttributes) (userID string, key []byte, ok bool) {
	if len(a.Username) > maxUsername || a.Realm != realm {
		return "", nil, false
	}
	expiry, participant, ok := strings.Cut(a.Username, ":")
	if !ok || !s.sessions.exists(participant) {
		return "", nil, false
	}
	until, err := strconv.ParseInt(expiry, 10, 64)
	if err != nil || a.Method == stun.MethodAllocate && time.Now().Unix() >= until {
		return "", nil, false
	}
	return participant, turn.GenerateAuthKey(a.Username, realm, s.password(a.Username)), true
}

// quota is asked before a relayed address is made (RFC 8656 section 7.2: 486).
func (s *Server) quota(participant, _ string, _ net.Addr) bool {
	return s.sessions.hasRoom(participant)
}
