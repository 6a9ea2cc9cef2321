package rtc

import (
	"errors"
	"maps"
	"time"

	lkauth "github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"

	"diemcau/signaling/auth"
)

const (
	// refreshEvery is how often a client gets a new token, and refreshValidity
	// for how long each one holds: a client that loses its connection just
	// before a refresh has that difference to come back.
	refreshEvery    = 5 * time.Minute
	refreshValidity = 10 * time.Minute
	// refreshAfterChange delays the token that follows a change of the grants,
	// so that a run of changes costs one token.
	refreshAfterChange = time.Second
)

// tokenKeeper knows what a participant's token should say now. It belongs to the
// write loop.
type tokenKeeper struct {
	verifier *auth.Verifier
	apiKey   string
	sid      string // "" until the first response tells
	joined   *lkauth.ClaimGrants
	now      *lkauth.ClaimGrants
}

func newTokenKeeper(verifier *auth.Verifier, apiKey string, grants *lkauth.ClaimGrants, sid string) *tokenKeeper {
	return &tokenKeeper{verifier: verifier, apiKey: apiKey, sid: sid, joined: grants.Clone(), now: grants.Clone()}
}

// observe follows what the node tells the client about the client itself, and
// reports whether the grants have changed.
func (k *tokenKeeper) observe(res *livekit.SignalResponse) (changed bool) {
	switch m := res.Message.(type) {
	case *livekit.SignalResponse_Join:
		if own := m.Join.GetParticipant(); own.GetIdentity() == k.now.Identity {
			k.sid = own.Sid
			return k.adopt(own)
		}
	case *livekit.SignalResponse_Update:
		for _, p := range m.Update.GetParticipants() {
			// An older session of the same identity has another sid.
			own := p.Identity == k.now.Identity && p.Sid == k.sid
			if own && p.State != livekit.ParticipantInfo_DISCONNECTED {
				changed = k.adopt(p) || changed
			}
		}
	}
	return changed
}

func (k *tokenKeeper) adopt(own *livekit.ParticipantInfo) (changed bool) {
	if own.Permission != nil && !k.now.Video.MatchesPermission(own.Permission) {
		k.now.Video.UpdateFromPermission(own.Permission)
		changed = true
	}
	if k.now.Name != own.Name || k.now.Metadata != own.Metadata || !maps.Equal(k.now.Attributes, own.Attributes) {
		k.now.Name = own.Name
		k.now.Metadata = own.Metadata
		k.now.Attributes = maps.Clone(own.Attributes)
		changed = true
	}
	return changed
}

// mint returns a token for the grants of now. Where they have grown too long for
// a token, the texts are those of the join: the permissions are always current.
func (k *tokenKeeper) mint() (string, error) {
	token, err := k.verifier.Mint(k.apiKey, k.now, refreshValidity)
	if !errors.Is(err, auth.ErrTooLong) {
		return token, err
	}
	short := k.now.Clone()
	short.Name, short.Metadata, short.Attributes = k.joined.Name, k.joined.Metadata, k.joined.Attributes
	return k.verifier.Mint(k.apiKey, short, refreshValidity)
}
