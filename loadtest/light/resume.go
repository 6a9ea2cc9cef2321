package light

import (
	"context"
	"net/url"

	"github.com/livekit/protocol/livekit"
)

// Resume loses the signal connection and comes back with another, as a client does whose
// network has changed: media goes on, and ICE starts anew. Errors: the server does not
// take it back, or ctx ends first.
func (p *Participant) Resume(ctx context.Context) error {
	token, err := p.group.token(p.o.Room, p.o.Identity)
	if err != nil {
		return err
	}
	p.negMu.Lock()
	old, back := p.conn, make(chan struct{})
	p.resuming, p.back = true, back
	p.negMu.Unlock()
	old.close()
	path, query := "rtc", url.Values{"reconnect": {"1"}, "sid": {p.sid}, "auto_subscribe": {flag(p.o.AutoSubscribe)}}
	if !p.o.TwoPeerConnections {
		request, err := wrap(&livekit.JoinRequest{
			ClientInfo:         clientInfo(),
			ConnectionSettings: &livekit.ConnectionSettings{AutoSubscribe: p.o.AutoSubscribe, AdaptiveStream: p.o.AdaptiveStream},
			Reconnect:          true, ReconnectReason: livekit.ReconnectReason_RR_SIGNAL_DISCONNECTED, ParticipantSid: p.sid,
		})
		if err != nil {
			return err
		}
		path, query = "rtc/v1", url.Values{"join_request": {request}}
	}
	conn, err := dial(ctx, p.group.base, path, token, query)
	if err != nil {
		return err
	}
	p.negMu.Lock()
	p.conn, p.resuming = conn, false
	p.reader.Go(func() { p.read(conn) })
	p.negMu.Unlock()
	select {
	case <-back:
		return nil
	case <-p.over:
		return p.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// reconnected goes on after the server has taken us back.
func (p *Participant) reconnected() error {
	p.negMu.Lock()
	defer p.negMu.Unlock()
	if p.back == nil {
		return nil
	}
	if err := p.conn.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_SyncState{SyncState: p.state()}}); err != nil {
		return err
	}
	if p.sub == p.pub || len(p.pubs) > 0 {
		if err := p.pub.restart(); err != nil {
			return err
		}
		p.offering, p.wanted = false, false // what was under way is lost
		if err := p.offerLocked(); err != nil {
			return err
		}
	}
	close(p.back)
	p.back = nil
	return nil
}

// state is what the server should know of us.
func (p *Participant) state() *livekit.SyncState {
	s := &livekit.SyncState{
		Subscription: &livekit.UpdateSubscription{Subscribe: !p.o.AutoSubscribe},
		Offer:        &livekit.SessionDescription{Type: "offer", Sdp: p.lastSDP[0]},
		Answer:       &livekit.SessionDescription{Type: "answer", Sdp: p.lastSDP[1]},
	}
	p.books.mu.Lock()
	if !p.o.AutoSubscribe {
		for track := range p.books.subscribed {
			s.Subscription.TrackSids = append(s.Subscription.TrackSids, track)
		}
	}
	p.books.mu.Unlock()
	for _, t := range p.pubs {
		if t.sid != "" {
			s.PublishTracks = append(s.PublishTracks, &livekit.TrackPublishedResponse{Cid: t.cid, Track: &livekit.TrackInfo{Sid: t.sid}})
		}
	}
	return s
}

// restart begins ICE anew with other credentials (RFC 8445 section 9).
func (l *link) restart() error {
	if err := l.agent.Restart("", ""); err != nil {
		return err
	}
	l.ufrag = ""
	return l.gather()
}
