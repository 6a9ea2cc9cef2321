package sfu

import (
	"slices"
	"testing"

	"github.com/livekit/protocol/livekit"
	"github.com/pion/dtls/v3"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
	"github.com/stretchr/testify/require"
)

// watched has alice publish a picture and a sound, and bob receive them whole. The clients
// of both are tuned.
func watched(t *testing.T, n *Node, single bool, tune func(*webrtc.SettingEngine)) (alice, bob *testClient, video string) {
	t.Helper()
	alice = connectTuned(t, n, "room", "alice", single, nil, tune)
	bob = connectTuned(t, n, "room", "bob", single, nil, tune)
	video, layers := alice.simulcast()
	t.Cleanup(play(t, layers))
	sound := alice.microphone()
	bob.until("picture and sound", func() bool { return len(bob.media[video]) > 300 && len(bob.media[sound]) > 20 })
	bob.mu.Lock()
	defer bob.mu.Unlock()
	requireContinuous(t, bob.media[video])
	return alice, bob, video
}

func TestMediaGoesPastThePeerConnection(t *testing.T) {
	t.Parallel()
	for name, profile := range map[string]dtls.SRTPProtectionProfile{
		"AES-GCM": dtls.SRTP_AEAD_AES_128_GCM, "AES-CM": dtls.SRTP_AES128_CM_HMAC_SHA1_80,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, single bool) {
				n := newTestNode(t)
				alice, _, _ := watched(t, n, single, func(e *webrtc.SettingEngine) { e.SetSRTPProtectionProfiles(profile) })
				require.Greater(t, n.sent.Packets.Load(), uint64(300))
				require.Zero(t, n.sent.Dropped.Load())
				var taken uint64
				alice.inRoom(func(_ *Room, p *participant) { taken = p.pub.MediaTaken() })
				require.Greater(t, taken, uint64(300))
			})
		})
	}
}

func TestKeysOfOtherCipherSuites(t *testing.T) {
	t.Parallel()
	for _, suite := range []dtls.CipherSuiteID{
		dtls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, dtls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
		dtls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA,
	} {
		t.Run(suite.String(), func(t *testing.T) {
			t.Parallel()
			n := newTestNode(t)
			watched(t, n, true, func(e *webrtc.SettingEngine) { e.SetDTLSCipherSuites(suite) })
			require.Greater(t, n.sent.Packets.Load(), uint64(300))
		})
	}
}

// TestWhoComesLaterToo: the streams that are there already are bound before the
// connection is secured.
func TestWhoComesLaterToo(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, single bool) {
		n := newTestNode(t)
		alice := connect(t, n, "room", "alice", single)
		video, layers := alice.simulcast()
		t.Cleanup(play(t, layers))
		alice.await("published", func(m *livekit.SignalResponse) bool { return m.GetTrackPublished() != nil })
		bob := connect(t, n, "room", "bob", single)
		bob.until("picture", func() bool { return len(bob.media[video]) > 100 })
		require.Greater(t, n.sent.Packets.Load(), uint64(100))
	})
}

// TestAClientThatIsTheDTLSServer gets its media through the peer connection: the keys
// cannot be had there.
func TestAClientThatIsTheDTLSServer(t *testing.T) {
	t.Parallel()
	n := newTestNode(t)
	watched(t, n, false, func(e *webrtc.SettingEngine) { require.NoError(t, e.SetAnsweringDTLSRole(webrtc.DTLSRoleServer)) })
	require.Zero(t, n.sent.Packets.Load())
}

func TestPionEgress(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, single bool) {
		n := newTestNode(t, func(c *Config) { c.PionEgress = true })
		watched(t, n, single, nil)
		require.Zero(t, n.sent.Packets.Load())
	})
}

// TestMediaGoesOverTCPToo where the client has nothing else, sealed in the same place.
func TestMediaGoesOverTCPToo(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, single bool) {
		n := newTestNode(t)
		alice, _, _ := watched(t, n, single, func(e *webrtc.SettingEngine) {
			e.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeTCP4})
		})
		require.Greater(t, n.sent.Packets.Load(), uint64(300))
		var taken uint64
		alice.inRoom(func(_ *Room, p *participant) { taken = p.pub.MediaTaken() })
		require.Greater(t, taken, uint64(300))
	})
}

// TestTheRouteFollowsARestart: after an ICE restart of a client that resumes, media
// goes on, and nothing is sealed twice. This client, unlike a browser, closes its sockets
// before it has new ones, so it asks again for what was sent meanwhile.
func TestTheRouteFollowsARestart(t *testing.T) {
	t.Parallel()
	n := newTestNode(t)
	_, bob, video := watched(t, n, false, nil)
	bob.resume(n, "bob")
	bob.mu.Lock()
	had := len(bob.media[video])
	bob.mu.Unlock()
	bob.until("media again, without a gap", func() bool {
		got := inOrder(bob.media[video])
		span := int(got[len(got)-1].SequenceNumber - got[0].SequenceNumber)
		return len(got) > had+300 && len(got) == span+1
	})
	bob.mu.Lock()
	defer bob.mu.Unlock()
	requireContinuous(t, inOrder(bob.media[video]))
	require.Zero(t, n.sent.Dropped.Load())
}

// inOrder is what a receiver makes of packets: each once, and late ones where they belong.
func inOrder(pkts []*rtp.Packet) []*rtp.Packet {
	pkts = slices.Clone(pkts)
	slices.SortFunc(pkts, func(a, b *rtp.Packet) int { return int(int16(a.SequenceNumber - b.SequenceNumber)) })
	return slices.CompactFunc(pkts, func(a, b *rtp.Packet) bool { return a.SequenceNumber == b.SequenceNumber })
}

// TestFeedbackIsTakenAtTheSocket and reaches the estimate.
func TestFeedbackIsTakenAtTheSocket(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, single bool) {
		n := newTestNode(t)
		_, bob, _ := watched(t, n, single, nil)
		room, err := n.room("room", &livekit.CreateRoomRequest{})
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			took := make(chan uint64, 1)
			room.post(func() { took <- room.participants["bob"].sub.ReportsTaken() })
			return <-took > 3
		}, waitFor, waitFor/100)
		_ = bob
	})
}
