package office

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/livekit/protocol/livekit"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
)

// ticket is what a client joins the media with.
type ticket struct {
	Token, URL, Identity, Room string
	Grant                      struct {
		Join, Hidden, Subscribe bool
		Publish                 []string
	}
}

// ticketOf asks for a ticket, as a user with the name of the device.
func (c *council) ticketOf(m *member, body fields) (k ticket) {
	c.t.Helper()
	m.expect(http.StatusOK, "", "POST", c.path("/join"), body).into(c.t, &k)
	require.Equal(c.t, c.id, k.Room)
	require.Equal(c.t, "/rtc", k.URL)
	return k
}

// signal is a LiveKit client's connection to the signalling socket.
type signal struct {
	*board
	t    *testing.T
	conn *websocket.Conn
	n    int // tracks announced

	// guarded by mu:
	sid     string
	resumed bool
	may     *livekit.ParticipantPermission
	got     []*livekit.SignalResponse
	ended   error
}

// knock opens the signalling socket with a token and what else a client says.
func (c *council) knock(token string, more url.Values) (*signal, *http.Response, error) {
	c.t.Helper()
	query := url.Values{"access_token": {token}, "auto_subscribe": {"1"}, "protocol": {"16"}, "sdk": {"go"}}
	for name, value := range more {
		query[name] = value
	}
	conn, response, err := c.dial(nil, "/rtc", query)
	if err != nil {
		return nil, response, err
	}
	s := &signal{board: newBoard(), t: c.t, conn: conn, sid: more.Get("sid")}
	go s.read()
	c.t.Cleanup(func() { conn.Close() })
	return s, response, nil
}

// enters joins the room with a token.
func (c *council) enters(token string) *signal {
	c.t.Helper()
	s, _, err := c.knock(token, nil)
	require.NoError(c.t, err)
	s.until(c.t, "is in the room", func() bool { return s.may != nil })
	return s
}

// shutOut is a join that must be refused.
func (c *council) shutOut(token string) {
	c.t.Helper()
	_, response, err := c.knock(token, nil)
	require.ErrorIs(c.t, err, websocket.ErrBadHandshake)
	require.Equal(c.t, http.StatusForbidden, response.StatusCode)
	response.Body.Close()
}

func (s *signal) read() {
	for {
		_, raw, err := s.conn.ReadMessage()
		res := &livekit.SignalResponse{}
		if err == nil {
			err = proto.Unmarshal(raw, res)
		}
		if err != nil {
			s.note(func() { s.ended = err })
			return
		}
		s.note(func() { s.take(res) })
	}
}

// take follows what the participant may do, with mu held.
func (s *signal) take(res *livekit.SignalResponse) {
	s.got = append(s.got, res)
	switch m := res.Message.(type) {
	case *livekit.SignalResponse_Join:
		s.sid, s.may = m.Join.GetParticipant().GetSid(), m.Join.GetParticipant().GetPermission()
	case *livekit.SignalResponse_Reconnect:
		s.resumed = true
	case *livekit.SignalResponse_Update:
		for _, p := range m.Update.GetParticipants() {
			if p.Sid == s.sid && p.State != livekit.ParticipantInfo_DISCONNECTED {
				s.may = p.Permission
			}
		}
	}
}

// permission is what the participant was last told that it may do.
func (s *signal) permission() *livekit.ParticipantPermission {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.may
}

// becomes waits until the participant is told that it may publish, or may not.
func (s *signal) becomes(publisher bool) {
	s.t.Helper()
	s.until(s.t, fmt.Sprintf("told that it may publish: %t", publisher), func() bool { return s.may.GetCanPublish() == publisher })
}

// publishes announces a microphone and tells whether the room takes it.
func (s *signal) publishes() bool {
	s.t.Helper()
	s.n++
	cid := fmt.Sprintf("%s-%d", s.sid, s.n)
	s.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_AddTrack{AddTrack: &livekit.AddTrackRequest{
		Cid: cid, Name: "micro", Type: livekit.TrackType_AUDIO, Source: livekit.TrackSource_MICROPHONE}}})
	taken, ended := false, error(nil)
	s.until(s.t, "answered add_track", func() bool {
		for _, res := range s.got {
			refused := res.GetRequestResponse()
			if res.GetTrackPublished().GetCid() == cid {
				taken = true
				return true
			}
			if refused.GetAddTrack().GetCid() == cid && refused.GetReason() == livekit.RequestResponse_NOT_ALLOWED {
				return true
			}
		}
		ended = s.ended
		return ended != nil
	})
	require.NoError(s.t, ended)
	return taken
}

func (s *signal) send(req *livekit.SignalRequest) {
	s.t.Helper()
	raw, err := proto.Marshal(req)
	require.NoError(s.t, err)
	_ = s.conn.SetWriteDeadline(time.Now().Add(patience))
	require.NoError(s.t, s.conn.WriteMessage(websocket.BinaryMessage, raw))
}

// leaves has the participant go, and waits until the socket is over.
func (s *signal) leaves() {
	s.t.Helper()
	s.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_Leave{Leave: &livekit.LeaveRequest{}}})
	s.until(s.t, "has left", func() bool { return s.ended != nil })
}

// calls has the operator call a room and then a commune's laptop, which is asked. Each
// publishes while it is in call, and not before or after, whatever its token says.
func (c *council) calls() {
	t := c.t
	room, laptop := c.pointNamed("Phòng họp Sở Tài chính"), c.personalPoint()
	quiet := c.ticketOf(room, fields{})
	require.Equal(t, room.identity, quiet.Identity)
	require.Empty(t, quiet.Grant.Publish)
	s := c.enters(quiet.Token)
	require.False(t, s.permission().CanPublish)
	require.True(t, s.permission().CanSubscribe)
	require.False(t, s.publishes())
	c.give(c.operator, "point.call", fields{"point": room.identity, "seconds": 120})
	s.becomes(true) // the token that gave nothing does, for the state has changed
	require.True(t, s.publishes())
	c.clock.pass(90 * time.Second)
	c.give(c.operator, "point.end", fields{})
	s.becomes(false)
	require.False(t, s.publishes())
	s.leaves()

	asked := c.give(c.operator, "point.call", fields{"point": laptop.identity, "seconds": 60})
	require.Equal(t, "call.started", laptop.socket.at(asked).Type)
	require.Empty(t, c.ticketOf(laptop, fields{}).Grant.Publish, "it was asked and has not answered")
	c.mayNotTell(room, "forbidden", "point.answer", fields{"accept": true})
	c.clock.pass(10 * time.Second)
	c.tells(laptop, "point.answer", fields{"accept": true})
	loud := c.ticketOf(laptop, fields{})
	require.Equal(t, []string{"camera", "microphone", "screen_share"}, loud.Grant.Publish)
	s = c.enters(loud.Token)
	require.True(t, s.permission().CanPublish)
	require.True(t, s.publishes())
	c.clock.pass(75 * time.Second) // fifteen too many: a warning only
	c.give(c.chair, "point.end", fields{})
	s.becomes(false)
	require.False(t, s.publishes())

	// The token of the call gives nothing back: neither to who resumes the connection,
	// nor to who joins anew in its place.
	sid := s.sid
	s.conn.Close()
	s.until(t, "is gone", func() bool { return s.ended != nil })
	s, _, err := c.knock(loud.Token, url.Values{"reconnect": {"1"}, "sid": {sid}})
	require.NoError(t, err)
	s.until(t, "has resumed", func() bool { return s.resumed })
	require.False(t, s.publishes())
	again := c.enters(loud.Token)
	require.False(t, again.permission().CanPublish)
	require.True(t, again.permission().CanSubscribe)
	require.False(t, again.publishes())
	s.until(t, "its place is taken", func() bool { return s.ended != nil })
	again.leaves()
	require.Empty(t, c.ticketOf(laptop, fields{}).Grant.Publish)
}

// tickets are those of people: who watches is hidden and mute, a phone beside a seat has
// no media at all, and nobody names a device as they like.
func (c *council) tickets() {
	t := c.t
	watcher := c.ticketOf(c.observer, fields{"device": "a"})
	require.True(t, watcher.Grant.Hidden)
	s := c.enters(watcher.Token)
	require.True(t, s.permission().Hidden)
	require.False(t, s.permission().CanPublish || s.publishes())
	s.leaves()
	phone := c.ticketOf(c.chair, fields{"device": "dt", "companion": true})
	require.Equal(t, c.chair.identity+"#c-dt", phone.Identity)
	s = c.enters(phone.Token)
	require.False(t, s.permission().CanPublish || s.permission().CanSubscribe || s.publishes())
	s.leaves()
	speaker := c.ticketOf(c.chair, fields{"device": "ban"})
	s = c.enters(speaker.Token)
	require.True(t, s.permission().CanPublish && s.publishes())
	s.leaves()
	for _, device := range []string{"", "c-x", "A", "a#b", "dai-qua-muoi-sau-ky-tu"} {
		c.chair.expect(http.StatusUnprocessableEntity, "bad_device", "POST", c.path("/join"), fields{"device": device})
	}
	c.guest.expect(http.StatusUnprocessableEntity, "bad_device", "POST", c.path("/join"), fields{"companion": true})
}
