package transport

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/transport/v4/packetio"
	"github.com/pion/webrtc/v4"
	"github.com/stretchr/testify/require"
)

// newTestAPI takes a port below those that the system gives to clients.
func newTestAPI(t *testing.T) *API {
	t.Helper()
	var a *API
	err := error(syscall.EADDRINUSE)
	for i := 0; i < 100 && errors.Is(err, syscall.EADDRINUSE); i++ {
		a, err = NewAPI(Config{
			UDPPort: 10_000 + rand.IntN(20_000), NodeIPs: []string{"127.0.0.1"}, UseLoopback: true, Log: slog.New(slog.DiscardHandler),
		})
	}
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, a.Close()) })
	return a
}

type events struct {
	failed  chan string
	answers chan map[string]string
	offers  chan offer
}

type offer struct {
	sdp string
	id  uint32
}

func newTestTransport(t *testing.T, offers bool) (*Transport, events) {
	t.Helper()
	e := events{make(chan string, 10), make(chan map[string]string, 10), make(chan offer, 10)}
	tr, err := newTestAPI(t).New(offers, Events{
		Candidate: func(webrtc.ICECandidateInit) {},
		Offer:     func(sdp string, id uint32, _ map[string]string) { e.offers <- offer{sdp, id} },
		Answer:    func(_ string, _ uint32, mids map[string]string) { e.answers <- mids },
		Sections:  func(uint32, uint32) {},
		Track:     func(*webrtc.TrackRemote, *webrtc.RTPReceiver) {},
		Data:      func(string, []byte) {},
		State:     func(webrtc.PeerConnectionState) {},
		Failed: func(what string, err error, stuck bool) {
			e.failed <- fmt.Sprintf("%s: %v, stuck: %v", what, err, stuck)
		},
	}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { tr.Close(); tr.Wait() })
	return tr, e
}

func within[T any](t *testing.T, c chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(10 * time.Second):
		require.FailNow(t, "nothing came")
	}
	return v
}

func TestBadDescriptionsAreReported(t *testing.T) {
	tr, e := newTestTransport(t, false)
	for _, sdp := range []string{"", "nonsense", "v=0\r\n", "v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n"} {
		require.NoError(t, tr.SetOffer(sdp, 1, nil))
		got := within(t, e.failed)
		require.Contains(t, got, "offer")
		require.Contains(t, got, "stuck: false")
	}
	require.NoError(t, tr.SetAnswer("nonsense", 9)) // to no offer of ours: ignored
	require.NoError(t, tr.SetOffer(clientOffer(t), 2, nil))
	within(t, e.answers)
	require.NoError(t, tr.AddCandidate(webrtc.ICECandidateInit{Candidate: "candidate:nonsense"}))
	require.Contains(t, within(t, e.failed), "candidate")
	require.Empty(t, e.failed)
}

func TestAnAnsweringPeerTakesNoOffer(t *testing.T) {
	tr, e := newTestTransport(t, true)
	require.NoError(t, tr.SetOffer(clientOffer(t), 1, nil))
	require.Contains(t, within(t, e.failed), "takes no offers")
	tr.Negotiate(false)
	tr.Negotiate(false)
	require.Equal(t, uint32(1), within(t, e.offers).id)
	require.NoError(t, tr.SetAnswer("nonsense", 1))
	require.Contains(t, within(t, e.failed), "answer")
	tr.Negotiate(true)
	require.Equal(t, uint32(2), within(t, e.offers).id)
}

func TestARestartTakesTheLastAnswerWhenAnOfferIsPending(t *testing.T) {
	tr, e := newTestTransport(t, true)
	pc, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	require.NoError(t, err)
	defer func() { require.NoError(t, pc.Close()) }()
	reply := func(o offer) {
		require.NoError(t, pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: o.sdp}))
		answer, err := pc.CreateAnswer(nil)
		require.NoError(t, err)
		require.NoError(t, pc.SetLocalDescription(answer))
		require.NoError(t, tr.SetAnswer(answer.SDP, o.id))
	}
	tr.Negotiate(false)
	reply(within(t, e.offers))

	track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8}, "TR", "PA")
	require.NoError(t, err)
	require.NoError(t, tr.AddTrack(track, func(_ *webrtc.RTPSender, err error) { require.NoError(t, err) }))
	tr.Negotiate(false)
	lost := within(t, e.offers) // the client's socket is gone before it comes
	tr.Negotiate(true)
	again := within(t, e.offers)
	require.Greater(t, again.id, lost.id)
	require.Contains(t, again.sdp, "m=video")
	require.NotEqual(t, ufrag(lost.sdp), ufrag(again.sdp), "ICE is restarted")
	reply(again)
	tr.Negotiate(false)
	reply(within(t, e.offers))
	require.Empty(t, e.failed)
}

// TestAnOfferThatFollowsAtOnce is no restart of ICE, which may not have begun.
func TestAnOfferThatFollowsAtOnce(t *testing.T) {
	api := newTestAPI(t)
	for range 30 {
		answers := make(chan string, 2)
		tr, err := api.New(false, Events{
			Candidate: func(webrtc.ICECandidateInit) {},
			Answer:    func(sdp string, _ uint32, _ map[string]string) { answers <- sdp },
			Sections:  func(uint32, uint32) {},
			State:     func(webrtc.PeerConnectionState) {},
			Failed:    func(what string, err error, _ bool) { answers <- what + ": " + err.Error() },
		}, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		offer := clientOffer(t)
		require.NoError(t, tr.SetOffer(offer, 1, nil))
		require.NoError(t, tr.SetOffer(offer, 2, nil))
		first := ufrag(within(t, answers))
		require.NotEmpty(t, first)
		require.Equal(t, first, ufrag(within(t, answers)))
		tr.Close()
		tr.Wait()
	}
}

func ufrag(sdp string) string {
	_, after, _ := strings.Cut(sdp, "a=ice-ufrag:")
	line, _, _ := strings.Cut(after, "\r\n")
	return line
}

func clientOffer(t *testing.T) string {
	t.Helper()
	pc, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	require.NoError(t, err)
	defer func() { require.NoError(t, pc.Close()) }()
	_, err = pc.CreateDataChannel(Reliable, nil)
	require.NoError(t, err)
	offer, err := pc.CreateOffer(nil)
	require.NoError(t, err)
	return offer.SDP
}

// TestTracksThatGoMeanwhile: the peer connection takes the tracks from its senders when
// the client ends DTLS, while a description is made.
func TestTracksThatGoMeanwhile(t *testing.T) {
	tr, e := newTestTransport(t, true)
	track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus}, "TR", "PA")
	require.NoError(t, err)
	senders := make(chan *webrtc.RTPSender, 1)
	require.NoError(t, tr.AddTrack(track, func(s *webrtc.RTPSender, _ error) { senders <- s }))
	sender := within(t, senders)
	tr.Negotiate(false)
	within(t, e.offers)
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				_ = sender.ReplaceTrack(nil)
				_ = sender.ReplaceTrack(track)
			}
		}
	})
	for range 200_000 {
		tr.mids()
		tr.unmatched()
	}
	close(done)
	wg.Wait()
	require.NoError(t, sender.ReplaceTrack(track))
	require.Equal(t, map[string]string{"0": "TR"}, tr.mids())
}

func TestWorkIsBoundedAndEnds(t *testing.T) {
	tr, _ := newTestTransport(t, false)
	hold := make(chan struct{})
	require.NoError(t, tr.post(func() { <-hold }))
	var err error
	for range maxClientOps + 1 {
		if err = tr.AddCandidate(webrtc.ICECandidateInit{}); err != nil {
			break
		}
	}
	require.ErrorIs(t, err, ErrBusy)
	for range maxOps / 2 {
		require.NoError(t, tr.post(func() {}), "our own work has room")
		tr.Negotiate(false) // takes none
	}
	close(hold)
	tr.Close()
	tr.Wait()
	require.ErrorIs(t, tr.AddCandidate(webrtc.ICECandidateInit{}), ErrClosed)
}

func TestReliableDataWaitsForTheChannelWithinBounds(t *testing.T) {
	tr, _ := newTestTransport(t, true)
	msg := make([]byte, 1000)
	for i := range 2 * maxEarly / len(msg) {
		msg[0] = byte(i)
		require.NoError(t, tr.SendData(Reliable, append([]byte(nil), msg...)))
	}
	require.NoError(t, tr.SendData(Lossy, []byte("x")), "late lossy data is dropped")
	require.LessOrEqual(t, tr.data.earlyBytes, maxEarly)
	require.Equal(t, msg[0], tr.data.early[len(tr.data.early)-1][0], "the newest are kept")
}

func TestBuffersOfAPeerAreBounded(t *testing.T) {
	exceeded := 0
	b := &buffers{exceeded: func() { exceeded++ }}
	for range maxStreams {
		require.IsType(t, &reports{}, b.make(packetio.RTCPBufferPacket, 1))
	}
	for range 3 {
		_, err := b.make(packetio.RTPBufferPacket, 1).Read(nil)
		require.ErrorIs(t, err, io.EOF)
	}
	require.Equal(t, 1, exceeded)
}

func TestMediaThatWaitsIsBounded(t *testing.T) {
	overran := 0
	b := &buffers{overrun: func() { overran++ }}
	streams := make([]*media, 40)
	fill := func(m *media) {
		for range rtpBufferBytes/1000 + 10 {
			_, _ = m.Write(make([]byte, 1000)) // fails when the stream's own buffer is full
		}
	}
	for i := range streams {
		var ok bool
		streams[i], ok = b.make(packetio.RTPBufferPacket, uint32(i)).(*media)
		require.True(t, ok)
		fill(streams[i])
	}
	total := 0
	for _, m := range streams {
		total += m.buf.Size()
	}
	require.InDelta(t, rtpWaitingBytes, total, rtpWaitingBytes/50)
	require.Equal(t, 1, overran)
	last := streams[len(streams)-1]
	require.Zero(t, last.buf.Size())

	// What is read or closed makes room.
	buf := make([]byte, receiveMTU)
	for streams[0].buf.Size() > 0 {
		_, err := streams[0].Read(buf)
		require.NoError(t, err)
	}
	require.NoError(t, streams[1].Close())
	require.NoError(t, streams[1].Close())
	fill(last)
	require.Greater(t, last.buf.Size(), rtpBufferBytes*9/10)
	for _, m := range streams {
		require.NoError(t, m.Close())
	}
	require.Zero(t, b.waiting.Load())
	require.Zero(t, b.count.Load())
}

func TestAPacketLongerThanReadersTakeIsDropped(t *testing.T) {
	b := &buffers{}
	m := b.make(packetio.RTPBufferPacket, 1)
	_, err := m.Write(make([]byte, receiveMTU+1))
	require.NoError(t, err)
	_, err = m.Write(make([]byte, receiveMTU))
	require.NoError(t, err)
	n, err := m.Read(make([]byte, receiveMTU))
	require.NoError(t, err, "or its reader would end")
	require.Equal(t, receiveMTU, n)
}

func TestReportsArePassedOnOnce(t *testing.T) {
	var got [][]byte
	b := &buffers{report: func(p []byte) { got = append(got, bytes.Clone(p)) }}
	one, two := b.make(packetio.RTCPBufferPacket, 1), b.make(packetio.RTCPBufferPacket, 2)
	raw, err := rtcp.Marshal([]rtcp.Packet{
		&rtcp.ReceiverReport{}, // of nothing
		&rtcp.PictureLossIndication{SenderSSRC: 9, MediaSSRC: 2}, &rtcp.PictureLossIndication{SenderSSRC: 9, MediaSSRC: 1},
	})
	require.NoError(t, err)
	for _, stream := range []io.Writer{one, two} { // as the peer connection does
		n, err := stream.Write(raw)
		require.NoError(t, err)
		require.Equal(t, len(raw), n)
		_, err = stream.Write(raw[:len(raw)-2]) // lies about its length
		require.NoError(t, err)
	}
	require.Equal(t, [][]byte{raw}, got)
	require.NoError(t, one.Close())
	_, err = one.Read(make([]byte, 10))
	require.ErrorIs(t, err, io.EOF)
	require.NoError(t, one.Close())
	require.EqualValues(t, 1, b.count.Load())
}

func TestNodeIPs(t *testing.T) {
	ip := netip.MustParseAddr
	machine := []netip.Addr{ip("127.0.0.1"), ip("10.0.0.5"), ip("10.0.1.5"), ip("::1"), ip("2001:db8::5")}
	for _, test := range []struct {
		name    string
		texts   string
		offered string // local=offered,offered ... of what is kept, without loopback
		rules   int
	}{
		{"all", "", "10.0.0.5=10.0.0.5 10.0.1.5=10.0.1.5 2001:db8::5=2001:db8::5", 0},
		{"some", "10.0.1.5 2001:db8::5", "10.0.1.5=10.0.1.5 2001:db8::5=2001:db8::5", 0},
		{"one for all", "203.0.113.7", "10.0.0.5=203.0.113.7 10.0.1.5=203.0.113.7 2001:db8::5=2001:db8::5", 2},
		{"both families", "203.0.113.7 2001:db8::7", "10.0.0.5=203.0.113.7 10.0.1.5=203.0.113.7 2001:db8::5=2001:db8::7", 3},
		{"own and public", "10.0.0.5 203.0.113.7", "10.0.0.5=10.0.0.5,203.0.113.7", 1},
		{"pairs", "203.0.113.7/10.0.0.5 198.51.100.7/10.0.1.5", "10.0.0.5=203.0.113.7 10.0.1.5=198.51.100.7", 2},
		{"two in front of one", "203.0.113.7/10.0.0.5 172.16.9.9/10.0.0.5", "10.0.0.5=203.0.113.7,172.16.9.9", 1},
		{"pair and own", "203.0.113.7/10.0.0.5 10.0.0.5 10.0.1.5", "10.0.0.5=10.0.0.5,203.0.113.7 10.0.1.5=10.0.1.5", 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			n, err := parseNodeIPs(strings.Fields(test.texts), machine)
			require.NoError(t, err)
			var kept []netip.Addr
			var got []string
			for _, local := range machine {
				if !local.IsLoopback() && n.keep(local) {
					kept = append(kept, local)
					var offered []string
					for _, o := range n.offered(local) {
						offered = append(offered, o.String())
					}
					got = append(got, local.String()+"="+strings.Join(offered, ","))
				}
			}
			require.Equal(t, test.offered, strings.Join(got, " "))
			require.Len(t, n.rules(kept), test.rules)
			require.Equal(t, []netip.Addr{ip("127.0.0.1")}, n.offered(ip("127.0.0.1")))
		})
	}
	for text, want := range map[string]string{
		"example.org": "not an IP address", "203.0.113.7/x": `"x" is not an IP address`,
		"203.0.113.7/10.9.9.9": "10.9.9.9 is not an address of this machine", "203.0.113.7/::1": "both must be IPv4 or both IPv6",
	} {
		_, err := parseNodeIPs([]string{text}, machine)
		require.ErrorContains(t, err, want)
	}
	_, err := NewAPI(Config{Log: slog.New(slog.DiscardHandler)})
	require.ErrorContains(t, err, "neither")
}

func TestPreferredCodecComesFirst(t *testing.T) {
	codec := func(mime, fmtp string, pt webrtc.PayloadType) webrtc.RTPCodecParameters {
		return webrtc.RTPCodecParameters{
			RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: mime, SDPFmtpLine: fmtp}, PayloadType: pt,
		}
	}
	var got []webrtc.PayloadType
	for _, c := range withFirst([]webrtc.RTPCodecParameters{
		codec("video/VP8", "", 96), codec("video/rtx", "apt=96", 97),
		codec("video/H264", "x", 102), codec("video/rtx", "apt=102", 103), codec("video/H264", "y", 104),
	}, "video/h264") {
		got = append(got, c.PayloadType)
	}
	require.Equal(t, []webrtc.PayloadType{102, 103, 104, 96, 97}, got)
}

func host(foundation string) *webrtc.ICECandidate {
	return &webrtc.ICECandidate{
		Foundation: foundation, Protocol: webrtc.ICEProtocolUDP, Address: "127.0.0.1", Port: 9, Component: 1,
		Typ: webrtc.ICECandidateTypeHost,
	}
}

func TestCandidatesFollowTheirDescription(t *testing.T) {
	var sent []string
	l := localCandidates{}
	l.send = func(c webrtc.ICECandidateInit) {
		sent = append(sent, c.Candidate)
		if len(sent) == 1 {
			l.found(host("later")) // while the first are sent
		}
	}
	l.hold()
	l.found(host("a"))
	l.found(nil)
	l.found(host("b"))
	require.Empty(t, sent)
	l.release()
	require.Len(t, sent, 3)
	l.found(host("c"))
	require.Len(t, sent, 4)
	for i, f := range []string{"a", "b", "later", "c"} {
		require.Contains(t, sent[i], "candidate:"+f)
	}

	d := &webrtc.SessionDescription{SDP: "v=0\r\na=ice-ufrag:abcd\r\na=ice-pwd:x\r\n"}
	frag := func(s string) *string { return &s }
	for _, c := range []struct {
		webrtc.ICECandidateInit
		another bool
	}{
		{webrtc.ICECandidateInit{Candidate: "candidate:1 1 udp 1 127.0.0.1 9 typ host"}, false},
		{webrtc.ICECandidateInit{Candidate: "candidate:1 1 udp 1 127.0.0.1 9 typ host ufrag abcd"}, false},
		{webrtc.ICECandidateInit{Candidate: "candidate:1 1 udp 1 127.0.0.1 9 typ host ufrag abc"}, true},
		{webrtc.ICECandidateInit{Candidate: "candidate:1", UsernameFragment: frag("abcd")}, false},
		{webrtc.ICECandidateInit{Candidate: "candidate:1", UsernameFragment: frag("bcd")}, true},
	} {
		require.Equal(t, c.another, ofAnother(c.ICECandidateInit, d), "%+v", c.ICECandidateInit)
	}
}
