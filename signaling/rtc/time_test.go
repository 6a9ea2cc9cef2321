package rtc

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"github.com/livekit/protocol/livekit"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"diemcau/signaling/auth"
)

// The tests of this file run in bubbles with their own clock, over in-memory
// connections that take a write only when the other end reads.

// listen collects what a client is sent until its socket ends.
type received struct {
	at  time.Time
	res *livekit.SignalResponse
}

func (c *client) listen() <-chan received {
	out := make(chan received, 4096)
	go func() {
		defer close(out)
		for {
			res, err := c.next()
			if err != nil {
				return
			}
			out <- received{time.Now(), res}
		}
	}()
	return out
}

// hangUp ends a client that listens and waits for its session's end.
func hangUp(c *client, s *fakeSession, messages <-chan received) {
	_ = c.ws.Close()
	<-s.closed
	for range messages {
	}
}

func ownUpdate(change func(*livekit.ParticipantInfo)) *livekit.SignalResponse {
	info := &livekit.ParticipantInfo{Sid: "PA_1", Identity: "a", Name: "Mới", State: livekit.ParticipantInfo_ACTIVE}
	change(info)
	return &livekit.SignalResponse{Message: &livekit.SignalResponse_Update{
		Update: &livekit.ParticipantUpdate{Participants: []*livekit.ParticipantInfo{info}},
	}}
}

func verifyToken(t *testing.T, v *auth.Verifier, res *livekit.SignalResponse) *auth.Claims {
	t.Helper()
	require.NotEmpty(t, res.GetRefreshToken())
	claims, err := v.Verify(res.GetRefreshToken())
	require.NoError(t, err)
	return claims
}

func TestRefreshTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newPipeRig(t)
		c, s := r.join("a")
		joined := time.Now()
		messages := c.listen()
		for i := range 12 {
			got := <-messages
			require.Equal(t, time.Duration(i+1)*refreshEvery, got.at.Sub(joined))
			claims := verifyToken(t, r.verifier, got.res)
			require.Equal(t, "a", claims.Grants.Identity)
			require.Equal(t, "hop", claims.Grants.Video.Room)
			require.WithinDuration(t, got.at.Add(refreshValidity), claims.ExpiresAt, time.Second)
		}
		hangUp(c, s, messages)
	})
}

func TestRefreshTokenFollowsTheParticipant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newPipeRig(t)
		c, s := r.join("a")
		messages := c.listen()
		s.responses <- ownUpdate(func(p *livekit.ParticipantInfo) { p.Sid, p.Name = "PA_0", "another session" })
		s.responses <- ownUpdate(func(p *livekit.ParticipantInfo) { p.Identity, p.Name = "b", "another participant" })
		s.responses <- ownUpdate(func(p *livekit.ParticipantInfo) {
			p.State, p.Name = livekit.ParticipantInfo_DISCONNECTED, "an end"
		})
		for range 3 {
			require.NotNil(t, (<-messages).res.GetUpdate())
		}
		time.Sleep(10 * refreshAfterChange)
		require.Empty(t, messages, "what others do changes no token of ours")
		start := time.Now()
		s.responses <- ownUpdate(func(p *livekit.ParticipantInfo) {
			p.Metadata, p.Attributes = "m", map[string]string{"k": "v"}
			p.Permission = &livekit.ParticipantPermission{CanSubscribe: true, CanPublish: false, CanUpdateMetadata: true}
		})
		require.NotNil(t, (<-messages).res.GetUpdate())
		got := <-messages
		require.Equal(t, refreshAfterChange, got.at.Sub(start), "soon, not at the next round")
		grants := verifyToken(t, r.verifier, got.res).Grants
		require.Equal(t, "Mới", grants.Name)
		require.Equal(t, "m", grants.Metadata)
		require.Equal(t, map[string]string{"k": "v"}, grants.Attributes)
		require.False(t, grants.Video.GetCanPublish())
		require.True(t, grants.Video.GetCanUpdateOwnMetadata())
		require.True(t, grants.Video.RoomJoin)
		next := <-messages
		require.Equal(t, refreshEvery, next.at.Sub(got.at))
		require.NotEmpty(t, next.res.GetRefreshToken())
		hangUp(c, s, messages)
	})
}

// Metadata may be longer than a token can be; permissions must be told all the
// same.
func TestRefreshTokenWithoutTextsTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newPipeRig(t)
		c, s := r.join("a")
		messages := c.listen()
		s.responses <- ownUpdate(func(p *livekit.ParticipantInfo) {
			p.Metadata = string(make([]byte, auth.MaxTokenLength))
			p.Permission = &livekit.ParticipantPermission{CanSubscribe: true}
		})
		require.NotNil(t, (<-messages).res.GetUpdate())
		grants := verifyToken(t, r.verifier, (<-messages).res).Grants
		require.Empty(t, grants.Metadata)
		require.False(t, grants.Video.GetCanPublish())
		hangUp(c, s, messages)
	})
}

// server-sdk-go sends no application pings: its WebSocket pongs must do.
func TestQuietClientIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newPipeRig(t)
		c, s := r.join("a")
		messages := c.listen() // reading answers WebSocket pings
		time.Sleep(4 * refreshEvery)
		synctest.Wait()
		select {
		case <-s.closed:
			require.FailNow(t, "a client that answers pings was closed")
		default:
		}
		hangUp(c, s, messages)
	})
}

func TestDeadPeerIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newPipeRig(t)
		c, s := r.join("a")
		c.ws.SetPingHandler(func(string) error { return nil }) // alive for TCP only
		start := time.Now()
		messages := c.listen()
		<-s.closed
		require.Equal(t, deadAfter, time.Since(start))
		for range messages {
		}
		synctest.Wait()
		require.Equal(t, 1.0, r.counter("diemcau_signal_sessions_closed_total", closedDead))
	})
}

// A client that stops reading is cut after writeWait, and others get all of
// theirs meanwhile.
func TestSlowReaderIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newPipeRig(t)
		_, stuck := r.join("a") // and reads no more
		c, s := r.join("b")
		messages := c.listen()
		start := time.Now()
		const number = 20
		for range number {
			stuck.responses <- speakers("TR_1")
			s.responses <- speakers("TR_1")
		}
		for range number {
			require.Zero(t, (<-messages).at.Sub(start))
		}
		<-stuck.closed
		require.Equal(t, writeWait, time.Since(start))
		synctest.Wait()
		require.Equal(t, 1.0, r.counter("diemcau_signal_sessions_closed_total", closedSlow))
		hangUp(c, s, messages)
	})
}

// A client that asks and does not listen makes nobody wait but itself.
func TestUnreadAnswersCutTheAsker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newPipeRig(t)
		c, s := r.join("a")
		ping, err := proto.Marshal(pingRequest(1))
		require.NoError(t, err)
		start := time.Now()
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			for range 4 * answerQueue { // far below the rate limit
				if c.ws.WriteMessage(websocket.BinaryMessage, ping) != nil {
					return
				}
			}
		}()
		<-s.closed
		<-sent
		require.Equal(t, writeWait, time.Since(start))
	})
}

// What the node had queued reaches the client before our own farewell.
func TestFarewellFollowsWhatWasQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newPipeRig(t)
		c, s := r.join("a")
		const number = 30
		for range number {
			s.responses <- speakers("TR_1")
		}
		synctest.Wait() // the writer waits for the client to read the first
		go func() { _ = r.handler.Shutdown(context.Background()) }()
		synctest.Wait()
		messages, _ := c.readUntilClosed()
		require.Len(t, messages, number+1)
		require.Equal(t, livekit.LeaveRequest_RESUME, lastLeave(t, messages).Action)
		<-s.closed
	})
}

// A farewell to a client that takes a message now and then ends in its time.
func TestFarewellIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newPipeRig(t)
		r.bridge.buffer = flushLimit
		c, s := r.join("a")
		for range flushLimit / 2 {
			s.responses <- speakers("TR_1")
		}
		start := time.Now()
		go func() { _ = r.handler.Shutdown(context.Background()) }()
		read := make(chan struct{})
		go func() {
			defer close(read)
			for ; ; time.Sleep(2 * time.Second) {
				if _, err := c.next(); err != nil {
					return
				}
			}
		}()
		<-s.closed
		took := time.Since(start) // the client itself learns of it up to 2 s later
		<-read
		// A write or a ping under way, the farewell, the close, and the client's answer.
		require.LessOrEqual(t, took, 3*writeWait+lingerWait)
	})
}

func TestShutdownCutsWhenItsTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newPipeRig(t)
		_, s := r.join("a") // reads no more
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		start := time.Now()
		require.ErrorIs(t, r.handler.Shutdown(ctx), context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(start))
		<-s.closed
	})
}

// The client that knows nothing of closing is cut after lingerWait.
func TestLingeringEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newPipeRig(t)
		c, s := r.join("a")
		raw := c.ws.NetConn()
		drained := make(chan struct{})
		go func() {
			defer close(drained)
			for buf := make([]byte, 512); ; {
				if _, err := raw.Read(buf); err != nil {
					return
				}
			}
		}()
		start := time.Now()
		close(s.responses)
		<-s.closed
		require.Equal(t, lingerWait, time.Since(start))
		<-drained
	})
}
