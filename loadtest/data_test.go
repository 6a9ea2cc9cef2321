package loadtest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/livekit/protocol/auth"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/stretchr/testify/require"
)

func send(t testing.TB, p *peer, payload string, options ...lksdk.DataPublishOption) {
	t.Helper()
	packet := &lksdk.UserDataPacket{Payload: []byte(payload), Topic: "test"}
	require.NoError(t, p.room.LocalParticipant.PublishDataPacket(packet, options...))
}

// TestReliableDataComesInOrderAndOnce sends 1,000 messages from each of two
// participants at the same time.
func TestReliableDataComesInOrderAndOnce(t *testing.T) {
	inBothModes(t, func(t *testing.T, m mode) {
		const n = 1000
		room := roomName(t)
		an := join(t, room, "an", withMode(m))
		bich := join(t, room, "bich", withMode(m))
		chi := join(t, room, "chi", withMode(m))
		an.awaitData(bich, chi)
		bich.awaitData(an, chi)
		for i := range n {
			send(t, an, fmt.Sprint(i), lksdk.WithDataPublishReliable(true))
			send(t, bich, fmt.Sprint(i), lksdk.WithDataPublishReliable(true))
		}
		until(t, 20*time.Second, func() bool { return len(chi.messages()) >= 2*n && len(an.messages()) >= n && len(bich.messages()) >= n },
			func() string { return fmt.Sprintf("2000 messages; chi has %d", len(chi.messages())) })
		next := map[string]int{}
		for _, msg := range chi.messages() {
			require.Equal(t, fmt.Sprint(next[msg.from]), msg.payload, "from %s", msg.from)
			require.Equal(t, "test", msg.topic)
			next[msg.from]++
		}
		require.Equal(t, map[string]int{"an": n, "bich": n}, next)
		for _, msg := range an.messages() {
			require.Equal(t, "bich", msg.from, "nobody hears himself")
		}
	})
}

func TestLossyData(t *testing.T) {
	inBothModes(t, func(t *testing.T, m mode) {
		room := roomName(t)
		an := join(t, room, "an", withMode(m))
		bich := join(t, room, "bich", withMode(m))
		an.awaitData(bich)
		until(t, 10*time.Second, func() bool {
			send(t, an, "first", lksdk.WithDataPublishReliable(false))
			return len(bich.messages()) > 0
		}, func() string { return "a lossy message" })
		seen := map[string]int{}
		for i := range 100 {
			send(t, an, fmt.Sprint("lossy ", i), lksdk.WithDataPublishReliable(false))
		}
		until(t, 10*time.Second, func() bool {
			clear(seen)
			for _, msg := range bich.messages() {
				if strings.HasPrefix(msg.payload, "lossy ") {
					seen[msg.payload]++
				}
			}
			return len(seen) >= 90 // loopback loses nothing; a full buffer may
		}, func() string { return fmt.Sprintf("most lossy messages; have %d of 100", len(seen)) })
		for payload, n := range seen {
			require.Equal(t, 1, n, payload)
		}
	})
}

func TestDataForOneParticipant(t *testing.T) {
	inBothModes(t, func(t *testing.T, m mode) {
		room := roomName(t)
		an := join(t, room, "an", withMode(m))
		bich := join(t, room, "bich", withMode(m))
		chi := join(t, room, "chi", withMode(m))
		an.awaitData(bich, chi)
		send(t, an, "for bich", lksdk.WithDataPublishReliable(true), lksdk.WithDataPublishDestination([]string{"bich"}))
		send(t, an, "for all", lksdk.WithDataPublishReliable(true))
		until(t, 10*time.Second, func() bool { return len(chi.messages()) == 1 && len(bich.messages()) == 2 },
			func() string { return fmt.Sprint(chi.messages(), bich.messages()) })
		require.Equal(t, "for all", chi.messages()[0].payload)
		require.Equal(t, "for bich", bich.messages()[0].payload)
	})
}

func TestDataNeedsPermission(t *testing.T) {
	inBothModes(t, func(t *testing.T, m mode) {
		room := roomName(t)
		an := join(t, room, "an", withMode(m), withGrant(func(g *auth.VideoGrant) { g.SetCanPublishData(false) }))
		bich := join(t, room, "bich", withMode(m))
		chi := join(t, room, "chi", withMode(m))
		require.False(t, an.room.LocalParticipant.Permissions().GetCanPublishData())
		chi.awaitData(bich)
		for range 20 {
			send(t, an, "not allowed", lksdk.WithDataPublishReliable(true))
		}
		send(t, chi, "allowed", lksdk.WithDataPublishReliable(true))
		until(t, 10*time.Second, func() bool { return len(bich.messages()) > 0 }, func() string { return "what is allowed" })
		never(t, time.Second, func() bool { return len(bich.messages()) > 1 }, "data without permission")
		require.Equal(t, "chi", bich.messages()[0].from)
	})
}

func TestRPC(t *testing.T) {
	inBothModes(t, func(t *testing.T, m mode) {
		room := roomName(t)
		an := join(t, room, "an", withMode(m))
		bich := join(t, room, "bich", withMode(m))
		an.awaitData(bich)
		bich.awaitData(an)
		require.NoError(t, bich.room.RegisterRpcMethod("greet", func(d lksdk.RpcInvocationData) (string, error) {
			if d.Payload == "" {
				return "", lksdk.NewRpcError(1999, "không có tên", nil)
			}
			return d.CallerIdentity + " chào " + d.Payload, nil
		}))
		answer, err := an.room.LocalParticipant.PerformRpc(lksdk.PerformRpcParams{DestinationIdentity: "bich", Method: "greet", Payload: "Bích"})
		require.NoError(t, err)
		require.Equal(t, "an chào Bích", *answer)
		var rpcErr *lksdk.RpcError
		_, err = an.room.LocalParticipant.PerformRpc(lksdk.PerformRpcParams{DestinationIdentity: "bich", Method: "greet"})
		require.ErrorAs(t, err, &rpcErr)
		require.Equal(t, "không có tên", rpcErr.Message)
		_, err = an.room.LocalParticipant.PerformRpc(lksdk.PerformRpcParams{DestinationIdentity: "bich", Method: "unknown"})
		require.ErrorAs(t, err, &rpcErr)
		require.Equal(t, lksdk.RpcUnsupportedMethod, rpcErr.Code)
	})
}

func TestTextStream(t *testing.T) {
	inBothModes(t, func(t *testing.T, m mode) {
		room := roomName(t)
		an := join(t, room, "an", withMode(m))
		bich := join(t, room, "bich", withMode(m))
		an.awaitData(bich)
		got := make(chan string, 1)
		require.NoError(t, bich.room.RegisterTextStreamHandler("minutes", func(r *lksdk.TextStreamReader, from string) {
			got <- from + ": " + r.ReadAll()
		}))
		text := strings.Repeat("Kính thưa các đồng chí. ", 3000) // several chunks
		an.room.LocalParticipant.SendText(text, lksdk.StreamTextOptions{Topic: "minutes"})
		select {
		case s := <-got:
			require.True(t, s == "an: "+text, "%d bytes of %d", len(s), len(text))
		case <-time.After(10 * time.Second):
			t.Fatal("no text in 10 s")
		}
	})
}
