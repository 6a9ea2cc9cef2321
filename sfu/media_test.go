package sfu

import (
	"encoding/binary"
	"sync/atomic"
	"testing"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/pion/rtp"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"diemcau/sfu/codec"
	"diemcau/sfu/transport"
)

func decodeData(b []byte) (*livekit.DataPacket, error) {
	pkt := &livekit.DataPacket{}
	return pkt, proto.Unmarshal(b, pkt)
}

// vp8Layer makes a simulcast layer of two-packet VP8 frames.
type vp8Layer struct {
	track        *webrtc.TrackLocalStaticRTP
	rid, mid     string
	midID, ridID uint8
	width        int
	seq, pic     uint16
	ts           uint32
	wantKey      atomic.Bool
	began        bool
}

func (l *vp8Layer) frame(t *testing.T) {
	t.Helper()
	key := l.wantKey.Swap(false) || !l.began
	l.began = true
	l.pic++
	l.ts += 3000
	for part := range 2 {
		payload := []byte{0x90, 0x80, 0x80 | byte(l.pic>>8), byte(l.pic)} // X S, I, 15-bit picture id
		if part == 1 {
			payload[0] = 0x80 // no S
		} else if key {
			head := make([]byte, 10) // RFC 6386 section 9.1
			head[3], head[4], head[5] = 0x9d, 0x01, 0x2a
			binary.LittleEndian.PutUint16(head[6:], uint16(l.width))
			binary.LittleEndian.PutUint16(head[8:], uint16(l.width*9/16))
			payload = append(payload, head...)
		} else {
			payload = append(payload, 0x01) // not a key frame
		}
		payload = append(payload, make([]byte, 200)...)
		p := &rtp.Packet{Header: rtp.Header{
			Version: 2, SequenceNumber: l.seq, Timestamp: l.ts, Marker: part == 1,
		}, Payload: payload}
		require.NoError(t, p.SetExtension(l.midID, []byte(l.mid)))
		require.NoError(t, p.SetExtension(l.ridID, []byte(l.rid)))
		require.NoError(t, l.track.WriteRTP(p))
		l.seq++
	}
}

// play sends frames of all layers until stop is closed.
func play(t *testing.T, layers [3]*vp8Layer) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				for _, l := range layers {
					l.frame(t)
				}
			case <-done:
				return
			}
		}
	}()
	return func() { close(done); <-ended }
}

// silent waits for 200 ms without a packet of a track, and returns how many came
// in all.
func (c *testClient) silent(sid string) int {
	c.t.Helper()
	before := -1
	require.Eventually(c.t, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		same := len(c.media[sid]) == before
		before = len(c.media[sid])
		return same
	}, waitFor, 200*time.Millisecond, "media goes on")
	return before
}

// lastWidth is the width of the newest key frame received of a track.
func (c *testClient) lastWidthLocked(sid string) int {
	for i := len(c.media[sid]) - 1; i >= 0; i-- {
		if d, err := codec.ParseVP8(c.media[sid][i].Payload); err == nil && d.KeyFrame {
			return int(d.Width)
		}
	}
	return 0
}

// both runs a test with clients of either kind. It mostly waits, for media that takes its
// time: so both at once.
func both(t *testing.T, test func(t *testing.T, single bool)) {
	for name, single := range map[string]bool{"two peer connections": false, "one peer connection": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, single)
		})
	}
}

func TestSimulcastIsForwardedAndSwitched(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, single bool) {
		n := newTestNode(t)
		alice := connect(t, n, "room", "alice", single)
		bob := connect(t, n, "room", "bob", single)
		sid, layers := alice.simulcast()
		defer play(t, layers)()

		bob.until("the high layer", func() bool { return bob.lastWidthLocked(sid) == 1280 })
		ask := func(w, h uint32) {
			bob.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_TrackSetting{
				TrackSetting: &livekit.UpdateTrackSettings{TrackSids: []string{sid}, Width: w, Height: h}}})
		}
		ask(320, 180)
		bob.until("the low layer", func() bool { return bob.lastWidthLocked(sid) == 320 })
		ask(640, 360)
		bob.until("the middle layer", func() bool { return bob.lastWidthLocked(sid) == 640 })
		ask(1280, 720)
		bob.until("the high layer again", func() bool { return bob.lastWidthLocked(sid) == 1280 })
		bob.until("more media", func() bool { return len(bob.media[sid]) > 300 })

		bob.mu.Lock()
		defer bob.mu.Unlock()
		requireContinuous(t, bob.media[sid])
	})
}

// requireContinuous checks sequence numbers, time stamps and picture ids over
// all packets received.
func requireContinuous(t *testing.T, pkts []*rtp.Packet) {
	t.Helper()
	require.Greater(t, len(pkts), 100)
	var pic uint16
	for i, p := range pkts {
		d, err := codec.ParseVP8(p.Payload)
		require.NoError(t, err)
		if i > 0 {
			prev := pkts[i-1]
			require.Equal(t, prev.SequenceNumber+1, p.SequenceNumber, "packet %d", i)
			step := int32(p.Timestamp - prev.Timestamp)
			require.GreaterOrEqual(t, step, int32(0), "time goes back at packet %d", i)
			// The layers' own clocks are hours apart; a busy machine may switch late.
			require.Less(t, step, int32(waitFor/time.Second)*90000, "time leaps at packet %d", i)
			if d.Start {
				require.Equal(t, (pic+1)&0x7fff, d.PictureID, "packet %d", i)
			} else {
				require.Equal(t, pic, d.PictureID, "packet %d", i)
			}
		}
		pic = d.PictureID
	}
}

// TestNoPictureOvertakesItsAnswer to a client that would lose it.
func TestNoPictureOvertakesItsAnswer(t *testing.T) {
	t.Parallel()
	n := newTestNode(t)
	alice := connect(t, n, "room", "alice", true)
	bob := connect(t, n, "room", "bob", true)
	bob.participantSeen("bob", state(livekit.ParticipantInfo_ACTIVE))
	bob.delay.Store(int64(400 * time.Millisecond))
	sid := alice.publish("camera", webrtc.MimeTypeVP8, livekit.TrackType_VIDEO, livekit.TrackSource_CAMERA)
	bob.until("media", func() bool { return len(bob.media[sid]) > 50 })
	bob.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_TrackSetting{
		TrackSetting: &livekit.UpdateTrackSettings{TrackSids: []string{sid}, Disabled: true}}})
	got, sent := 0, 0
	require.Eventually(t, func() bool {
		bob.mu.Lock()
		got = len(inOrder(bob.media[sid]))
		bob.mu.Unlock()
		bob.inRoom(func(_ *Room, p *participant) { sent = int(p.subs[sid].down.Stats().Sent) })
		return got >= sent
	}, waitFor, 10*time.Millisecond, "packets are lost")
}

// TestPacketsNameTheirSection, for a client that gets them before the description.
func TestPacketsNameTheirSection(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, single bool) {
		n := newTestNode(t)
		alice := connect(t, n, "room", "alice", single)
		bob := connect(t, n, "room", "bob", single)
		video, layers := alice.simulcast()
		defer play(t, layers)()
		sound := alice.microphone()
		for _, sid := range []string{video, sound} {
			bob.until("media", func() bool { return len(bob.media[sid]) > 10 })
			id, mid := bob.section(sid)
			bob.mu.Lock()
			for _, p := range bob.media[sid] {
				require.Equal(t, mid, string(p.GetExtension(id)))
			}
			bob.mu.Unlock()
		}
	})
}

// section is the mid of the section in which a track is received, and the id of the header
// extension for it.
func (c *testClient) section(sid string) (id uint8, mid string) {
	c.mu.Lock()
	track := c.receivers[sid]
	c.mu.Unlock()
	for _, tr := range c.sub.GetTransceivers() {
		if r := tr.Receiver(); r != nil && r.Track() == track {
			for _, e := range r.GetParameters().HeaderExtensions {
				if e.URI == sdp.SDESMidURI {
					return uint8(e.ID), tr.Mid()
				}
			}
		}
	}
	require.FailNow(c.t, "no section for "+sid)
	return 0, ""
}

func TestPauseAndResumeOfASubscription(t *testing.T) {
	t.Parallel()
	n := newTestNode(t)
	alice := connect(t, n, "room", "alice", false)
	bob := connect(t, n, "room", "bob", false)
	sid, layers := alice.simulcast()
	defer play(t, layers)()
	bob.until("media", func() bool { return len(bob.media[sid]) > 50 })

	set := func(disabled bool) {
		bob.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_TrackSetting{
			TrackSetting: &livekit.UpdateTrackSettings{
				TrackSids: []string{sid}, Disabled: disabled, Quality: livekit.VideoQuality_HIGH}}})
	}
	set(true)
	n0 := bob.silent(sid)
	set(false)
	bob.until("media again", func() bool { return len(bob.media[sid]) > n0+50 })
	bob.mu.Lock()
	defer bob.mu.Unlock()
	requireContinuous(t, bob.media[sid])
}

func TestReliableDataArrivesInOrderAndStamped(t *testing.T) {
	both(t, func(t *testing.T, single bool) {
		n := newTestNode(t)
		alice := connect(t, n, "room", "alice", single)
		bob := connect(t, n, "room", "bob", single)
		carol := connect(t, n, "room", "carol", single)
		alice.openData()
		const count = 200
		for i := range count {
			body, err := proto.Marshal(&livekit.DataPacket{
				Sequence: uint32(i + 1), ParticipantIdentity: "mallory", DestinationIdentities: []string{"bob"},
				Value: &livekit.DataPacket_User{User: &livekit.UserPacket{Payload: []byte{byte(i)}}},
			})
			require.NoError(t, err)
			require.NoError(t, alice.reliable().Send(body))
		}
		bob.until("all data", func() bool { return len(bob.data) == count })
		for i, d := range bob.data {
			require.Equal(t, uint32(i+1), d.Sequence)
			require.Equal(t, "alice", d.ParticipantIdentity)
			require.Equal(t, alice.join.Participant.Sid, d.ParticipantSid)
		}
		carol.mu.Lock()
		defer carol.mu.Unlock()
		require.Empty(t, carol.data, "addressed to bob alone")
	})
}

// reliable is the publisher's own reliable channel.
func (c *testClient) reliable() *webrtc.DataChannel {
	return c.channels[transport.Reliable]
}

func encodeUser(t *testing.T, seq uint32) []byte {
	t.Helper()
	body, err := proto.Marshal(&livekit.DataPacket{
		Sequence: seq, Value: &livekit.DataPacket_User{User: &livekit.UserPacket{Payload: []byte{1}}},
	})
	require.NoError(t, err)
	return body
}

// addTrack announces a track and returns its sid.
func (c *testClient) addTrack(req *livekit.AddTrackRequest) string {
	c.t.Helper()
	c.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_AddTrack{AddTrack: req}})
	m := c.await("track_published", func(m *livekit.SignalResponse) bool { return m.GetTrackPublished().GetCid() == req.Cid })
	return m.GetTrackPublished().Track.Sid
}

// simulcast publishes one VP8 camera with three layers; layer i sends pictures
// of width 320<<i.
func (c *testClient) simulcast() (sid string, layers [3]*vp8Layer) {
	c.t.Helper()
	sid = c.addTrack(&livekit.AddTrackRequest{
		Cid: "camera", Type: livekit.TrackType_VIDEO, Source: livekit.TrackSource_CAMERA, Width: 1280, Height: 720,
		Layers: []*livekit.VideoLayer{
			{Quality: livekit.VideoQuality_LOW, Width: 320, Height: 180},
			{Quality: livekit.VideoQuality_MEDIUM, Width: 640, Height: 360},
			{Quality: livekit.VideoQuality_HIGH, Width: 1280, Height: 720},
		},
	})
	var sender *webrtc.RTPSender
	for i, rid := range []string{"q", "h", "f"} {
		track, err := webrtc.NewTrackLocalStaticRTP(
			webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}, "camera", "s",
			webrtc.WithRTPStreamID(rid))
		require.NoError(c.t, err)
		if i == 0 {
			tr, err := c.pub.AddTransceiverFromTrack(track,
				webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
			require.NoError(c.t, err)
			sender = tr.Sender()
		} else {
			require.NoError(c.t, sender.AddEncoding(track))
		}
		layers[i] = &vp8Layer{track: track, rid: rid, width: 320 << i, seq: uint16(1000 * i), ts: uint32(i) << 30}
	}
	go func() { // key-frame requests make the next frame a key frame
		for {
			pkts, _, err := sender.ReadRTCP()
			if err != nil {
				return
			}
			_ = pkts
			for _, l := range layers {
				l.wantKey.Store(true)
			}
		}
	}()
	c.negotiate()
	for _, tr := range c.pub.GetTransceivers() {
		if tr.Sender() == sender {
			for _, l := range layers {
				l.mid = tr.Mid()
				for _, e := range sender.GetParameters().HeaderExtensions {
					switch e.URI {
					case sdp.SDESMidURI:
						l.midID = uint8(e.ID)
					case sdp.SDESRTPStreamIDURI:
						l.ridID = uint8(e.ID)
					}
				}
			}
		}
	}
	return sid, layers
}
