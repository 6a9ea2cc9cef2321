package loadtest

import (
	"fmt"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/livekit/protocol/livekit"
	"github.com/stretchr/testify/require"
)

func trackSetting(i int, sids ...string) *livekit.SignalRequest {
	return &livekit.SignalRequest{Message: &livekit.SignalRequest_TrackSetting{TrackSetting: &livekit.UpdateTrackSettings{
		TrackSids: sids, Disabled: i%3 == 0, Width: uint32(i % 1280), Height: uint32(i % 720), Priority: uint32(i),
	}}}
}

func subscription(i int, sids ...string) *livekit.SignalRequest {
	return &livekit.SignalRequest{Message: &livekit.SignalRequest_Subscription{Subscription: &livekit.UpdateSubscription{
		TrackSids: sids, Subscribe: i%2 == 0,
	}}}
}

// TestSubscriptionStorm: clients that change their minds without pause, until the server has
// had enough or all changes are made.
func TestSubscriptionStorm(t *testing.T) {
	s := newStorm(t)
	mine := []string{s.video.pub.SID(), s.sound.pub.SID()}
	var many, unknown []string
	for i := range 500 {
		many = append(many, mine...)
		unknown = append(unknown, fmt.Sprint("TR_", i))
	}
	for _, c := range []struct {
		name     string
		messages int
		request  func(i int) *livekit.SignalRequest
		ended    bool
	}{
		// 10,000 messages are too many, 10,000 changes in 10 messages are not.
		{"settings", 10_000, func(i int) *livekit.SignalRequest { return trackSetting(i, mine...) }, true},
		{"subscriptions", 10_000, func(i int) *livekit.SignalRequest { return subscription(i, mine...) }, true},
		{"settings-at-once", 10, func(i int) *livekit.SignalRequest { return trackSetting(i, many...) }, false},
		{"subscriptions-at-once", 10, func(i int) *livekit.SignalRequest { return subscription(i, many...) }, false},
		{"subscriptions-in-turns", 400, func(i int) *livekit.SignalRequest { return subscription(i/2, mine[i%2]) }, false},
		{"unknown-at-once", 10, func(i int) *livekit.SignalRequest { return trackSetting(i, unknown...) }, false},
		{"unknown", 400, func(i int) *livekit.SignalRequest { return subscription(0, unknown...) }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			identity := offender + "-" + c.name
			m := dialRoom(t, s.room, identity, nil)
			m.awaitJoin()
			s.watch()
			over := make(chan struct{})
			var leave *livekit.LeaveRequest
			go func() { // reads, as its socket would be cut off otherwise
				defer close(over)
				for r := range m.responses {
					if r.GetLeave() != nil {
						leave = r.GetLeave()
					}
				}
			}()
			sent := 0
			for ; sent < c.messages && m.conn.WriteMessage(websocket.BinaryMessage, mustMarshal(c.request(sent))) == nil; sent++ {
				if sent%100 == 0 {
					s.say()
				}
			}
			t.Logf("%d messages", sent)
			if c.ended {
				<-over
				require.NotNil(t, leave, "it is told to leave")
				s.logged(identity, "signal session dismissed")
			}
			s.sound.flows(t, 10)
			s.bounded(24)
			if !c.ended { // it may have been cut off for reading too slowly
				m.close()
				<-over
				require.Nil(t, leave)
			}
		})
	}
	s.spared()
}
