package transport

import (
	"strings"
	"sync"

	"github.com/pion/webrtc/v4"
)

// A candidate belongs to the description with its username fragment (RFC 8838
// section 11). After an ICE restart candidates can overtake that description,
// ours on their way to the client as much as the client's: many clients drop a
// candidate of a description they do not have, and so does the peer connection.

// localCandidates holds ours back until their description has left.
type localCandidates struct {
	send func(webrtc.ICECandidateInit)

	mu      sync.Mutex
	holding bool
	held    []webrtc.ICECandidateInit
}

// found takes a candidate as the peer connection gathers it; nil ends them.
func (l *localCandidates) found(c *webrtc.ICECandidate) {
	if c == nil {
		return
	}
	init := c.ToJSON()
	l.mu.Lock()
	if l.holding {
		l.held = append(l.held, init)
		l.mu.Unlock()
		return
	}
	l.mu.Unlock()
	l.send(init)
}

// hold begins to keep candidates, before the description is set.
func (l *localCandidates) hold() {
	l.mu.Lock()
	l.holding = true
	l.mu.Unlock()
}

// release sends what was kept, after the description.
func (l *localCandidates) release() {
	for {
		l.mu.Lock()
		held := l.held
		l.held = nil
		l.holding = len(held) > 0
		l.mu.Unlock()
		if len(held) == 0 {
			return
		}
		for _, c := range held {
			l.send(c)
		}
	}
}

// ofAnother tells whether a candidate names a username fragment that is not in
// the description.
func ofAnother(c webrtc.ICECandidateInit, d *webrtc.SessionDescription) bool {
	ufrag := ""
	if c.UsernameFragment != nil {
		ufrag = *c.UsernameFragment
	}
	fields := strings.Fields(c.Candidate)
	for i := 0; i+1 < len(fields); i++ {
		if fields[i] == "ufrag" {
			ufrag = fields[i+1]
		}
	}
	return ufrag != "" && !strings.Contains(d.SDP, "a=ice-ufrag:"+ufrag+"\r\n") && !strings.Contains(d.SDP, "a=ice-ufrag:"+ufrag+"\n")
}
