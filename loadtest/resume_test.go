package loadtest

import (
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/livekit/protocol/livekit"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/stretchr/testify/require"
)

// TestResumeKeepsParticipantAndMedia cuts the signalling connection of a
// publisher, then of a subscriber.
func TestResumeKeepsParticipantAndMedia(t *testing.T) {
	inBothModes(t, func(t *testing.T, m mode) {
		room := roomName(t)
		an := join(t, room, "an", withMode(m))
		bich := join(t, room, "bich", withMode(m))
		pub, _ := an.publishTone(30)
		back, _ := bich.publishTone(30)
		r := bich.receives(pub.SID())
		r.flows(t, 50)
		an.awaitData(bich)
		for _, p := range []*peer{an, bich} {
			sid := p.room.LocalParticipant.SID()
			p.room.Simulate(lksdk.SimulateSignalReconnect)
			until(t, 10*time.Second, func() bool { return p.count("Reconnected", "", "") == 1 },
				func() string { return fmt.Sprint(p.identity(), " is back; was told ", p.history()) })
			require.Equal(t, sid, p.room.LocalParticipant.SID())
			r.flows(t, 100)
		}
		// An ICE restart may cost what is on its way, but not half a second.
		s := r.account.Stats()
		require.Less(t, s.MaxGap, FreezeGap, "sound went on over two resumes: %+v", s)
		require.LessOrEqual(t, s.Lost, uint64(25), "%+v", s)
		an.receives(back.SID()).flows(t, 50)
		require.Zero(t, bich.count("ParticipantDisconnected", "an", ""), "nobody notices a resume")
		require.Zero(t, an.count("ParticipantDisconnected", "bich", ""))

		// What is new after the resume reaches the resumed.
		pub.SetMuted(true)
		bich.told("TrackMuted", "an", pub.SID())
		send(t, an, "after", lksdk.WithDataPublishReliable(true))
		until(t, 5*time.Second, func() bool { return len(bich.messages()) == 1 }, func() string { return "data after a resume" })
		chi := join(t, room, "chi", withMode(m))
		an.told("ParticipantConnected", "chi", chi.room.LocalParticipant.SID())
		bich.told("ParticipantConnected", "chi", chi.room.LocalParticipant.SID())
	})
}

// TestFullReconnect: a client whose session the server has ended is told to
// start again; it comes back as a new participant and receives what is there.
func TestFullReconnect(t *testing.T) {
	inBothModes(t, func(t *testing.T, m mode) {
		room := roomName(t)
		an := join(t, room, "an", withMode(m))
		bich := join(t, room, "bich", withMode(m))
		pub, _ := an.publishTone(30)
		bich.receives(pub.SID()).flows(t, 20)
		oldSID := bich.room.LocalParticipant.SID()
		// The client may win the race and resume before its session is left.
		restarted := func() bool { return bich.room.LocalParticipant.SID() != oldSID }
		for try := 0; try < 5 && !restarted(); try++ {
			endSession(t, room, "bich", oldSID)
			within(3*time.Second, restarted)
		}
		until(t, 15*time.Second, func() bool { return bich.count("TrackSubscribed", "an", pub.SID()) == 2 },
			func() string { return fmt.Sprint("bich receives again; was told ", bich.history()) })
		bich.receives(pub.SID()).flows(t, 50)
		newSID := bich.room.LocalParticipant.SID()
		require.NotEqual(t, oldSID, newSID)
		until(t, 10*time.Second, func() bool {
			rp := an.room.GetParticipantByIdentity("bich")
			return rp != nil && rp.SID() == newSID && len(an.room.GetRemoteParticipants()) == 1
		}, func() string { return fmt.Sprint("an sees the new participant only; was told ", an.history()) })
		back, _ := bich.publishTone(30)
		an.receives(back.SID()).flows(t, 20)
	})
}

// endSession takes over a participant's session, as a second socket of the
// same client may, and leaves the room with it.
func endSession(t *testing.T, room, identity, sid string) {
	t.Helper()
	query := url.Values{"access_token": {mint(t, room, identity, nil)}, "reconnect": {"1"}, "sid": {sid}}
	conn, _, err := websocket.DefaultDialer.Dial(signalURL(t, "ws", "/rtc", query), nil)
	require.NoError(t, err)
	c := newRawClient(t, conn)
	leave := mustMarshal(&livekit.SignalRequest{Message: &livekit.SignalRequest_Leave{Leave: &livekit.LeaveRequest{
		Reason: livekit.DisconnectReason_CLIENT_INITIATED, Action: livekit.LeaveRequest_DISCONNECT,
	}}})
	_ = c.conn.WriteMessage(websocket.BinaryMessage, leave) // fails if the client has its session back already
	c.awaitEnd()
}
