package light

import (
	"encoding/binary"
	"net"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
	"github.com/stretchr/testify/require"

	"diemcau/loadtest/trace"
)

// sealer makes packets under a key, as a server does.
type sealer struct {
	t    *testing.T
	seal *srtp.Context
}

// keyed returns a participant that is a sample, its link, and who sends to it.
func keyed(t *testing.T) (*Participant, *link, sealer) {
	t.Helper()
	key, salt := make([]byte, 16), make([]byte, 12)
	context := func() *srtp.Context {
		c, err := srtp.CreateContext(key, salt, srtp.ProtectionProfileAeadAes128Gcm)
		require.NoError(t, err)
		return c
	}
	p := &Participant{group: &Group{run: 5}, o: Options{Sample: true}}
	b := &p.books
	b.group, b.tag, b.twccID = p.group, 16, 3
	b.streams, b.repairs = map[uint32]*stream{}, map[uint32]*stream{}
	b.measured = &Delays{}
	b.codecs[96], b.codecs[97] = codec{name: "vp8", clock: clockVideo}, codec{name: nameRTX, clock: clockVideo, apt: 96}
	b.repairs[8] = b.assign(7, true, "TR_a")
	l := &link{}
	l.open.Store(context())
	return p, l, sealer{t, context()}
}

func (s sealer) packet(h rtp.Header, payload []byte, padding byte) []byte {
	h.Version, h.Padding = 2, padding > 0
	p := rtp.Packet{Header: h, Payload: payload}
	p.Header.PaddingSize = padding
	raw, err := p.Marshal()
	require.NoError(s.t, err)
	sealed, err := s.seal.EncryptRTP(nil, raw, nil)
	require.NoError(s.t, err)
	return sealed
}

// frame is the payload of a VP8 frame in one packet, sent at a time.
func frame(picture byte, key bool, at int64) []byte {
	b := append([]byte{0x90, 0x80, picture, 1}, make([]byte, 60)...)
	if key {
		b[3] = 0
	}
	stamp(b, 5, at)
	return b
}

// TestSampleOfAServerThatPads: padding of media packets, padding alone, a loss, a
// retransmission, and padding on the stream of retransmissions.
func TestSampleOfAServerThatPads(t *testing.T) {
	p, l, server := keyed(t)
	at := int64(1_700_000_000_000_000_000)
	send := func(raw []byte, after int64) { p.receive(l, raw, at+after) }
	media := func(n uint16) rtp.Header {
		return rtp.Header{PayloadType: 96, SSRC: 7, SequenceNumber: n, Timestamp: uint32(n) * 3000, Marker: true}
	}
	send(server.packet(media(1), frame(1, true, at), 0), 3*ms)
	send(server.packet(media(2), frame(2, false, at), 200), 4*ms)
	only := media(3)
	only.Marker = false
	send(server.packet(only, nil, 255), 5*ms)
	lost := frame(3, false, at)
	send(server.packet(media(5), frame(4, false, at), 1), 6*ms)
	send(server.packet(rtp.Header{PayloadType: 97, SSRC: 8, SequenceNumber: 1}, nil, 100), 7*ms)
	send(server.packet(rtp.Header{PayloadType: 97, SSRC: 8, SequenceNumber: 2, Timestamp: 4 * 3000, Marker: true},
		append([]byte{0, 4}, lost...), 9), 50*ms)

	c := p.Stats()
	require.EqualValues(t, 5, c.Video.Packets)
	require.EqualValues(t, 3, c.Video.Padded)
	require.EqualValues(t, 1, c.Video.Repaired)
	require.EqualValues(t, 4, c.Video.Frames)
	require.Zero(t, c.Video.Lost+c.Video.Broken+c.Video.Faults+c.Unknown+c.Refused)
	require.Equal(t, DecodeStats{Packets: 4, KeyFrames: 1}, c.Decode)
	var d Delays
	p.AddDelays(&d)
	require.EqualValues(t, 3, d.Forwarded.Count())
	require.Equal(t, 6*time.Millisecond, d.Forwarded.Max())
	require.EqualValues(t, 1, d.Repaired.Count())
	require.Equal(t, 50*time.Millisecond, d.Repaired.Max())
	p.ResetDelays()
	d = Delays{}
	p.AddDelays(&d)
	require.Zero(t, d.Forwarded.Count())

	broken := server.packet(media(6), frame(5, false, at), 0)
	broken[len(broken)-1] ^= 1
	send(broken, 60*ms)
	require.EqualValues(t, 1, p.Stats().Refused)
}

func TestVoiceIsSilentWithDTX(t *testing.T) {
	voice := NewVoice(true)
	require.Equal(t, uint32(voiceTicks), voice.Next().Ticks)
	require.EqualValues(t, speakLevel, voice.level())
	require.False(t, voice.Begun().IsZero())
	voice.Speak(false)
	require.Equal(t, uint32(quietTicks), voice.Next().Ticks)
	require.EqualValues(t, silentLevel, voice.level())
	require.True(t, voice.Begun().IsZero())
}

// scripted is a source of frames of two packets.
type scripted struct {
	keys   int
	sample trace.Sample
}

func (s *scripted) Next() *trace.Sample {
	s.sample = trace.Sample{Payloads: [][]byte{make([]byte, 40), make([]byte, 20)}, Heads: []int{4, 10}, Offsets: []time.Duration{0, time.Millisecond}, Ticks: 3000, Key: true}
	return &s.sample
}

func (s *scripted) RequestKeyFrame() { s.keys++ }

// TestPublisherAnswersFeedback: what a NACK names goes out again as retransmissions, a
// PLI asks for a key frame, and a report lets it leave out mid and rid.
func TestPublisherAnswersFeedback(t *testing.T) {
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	defer conn.Close()
	p, l, server := keyed(t)
	sock, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	defer sock.Close()
	to := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	l.sock, l.seal = &socket{conn: sock}, server.seal
	l.remote.Store(&to)
	source := &scripted{}
	pub := &Publication{p: p, mid: "4"}
	y := newLayer(pub, LayerOptions{Source: source}, "h")
	y.terms = agreement{pt: 96, rtx: 97, mid: 4, rid: 10, rrid: 11, twcc: 3}
	y.link, y.ring, y.sample = l, make([]kept, ringLeast), source.Next()
	p.layers = map[uint32]*layer{y.ssrc: y}

	open, err := srtp.CreateContext(make([]byte, 16), make([]byte, 12), srtp.ProtectionProfileAeadAes128Gcm)
	require.NoError(t, err)
	read := func() *rtp.Packet {
		b := make([]byte, 1500)
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(5*time.Second)))
		n, _, err := conn.ReadFromUDP(b)
		require.NoError(t, err)
		plain, err := open.DecryptRTP(nil, b[:n], nil)
		require.NoError(t, err)
		var got rtp.Packet
		require.NoError(t, got.Unmarshal(plain))
		return &got
	}
	begin := time.Now()
	y.frameAt = begin
	require.Equal(t, begin.Add(time.Millisecond), y.step(begin))
	require.Equal(t, begin.Add(time.Second/30), y.step(begin))
	one, two := read(), read()
	require.Equal(t, y.ssrc, one.SSRC)
	require.Equal(t, one.SequenceNumber+1, two.SequenceNumber)
	require.Equal(t, []bool{false, true}, []bool{one.Marker, two.Marker})
	require.Equal(t, []byte("4"), one.GetExtension(4))
	require.Equal(t, []byte("h"), one.GetExtension(10))
	require.Equal(t, []byte{0, 2}, two.GetExtension(3), "the transport-wide number")
	_, ok := stamped(one.Payload, 5)
	require.True(t, ok)
	_, ok = stamped(two.Payload, 5)
	require.False(t, ok, "there is no room for it")

	p.heedRTCP(appendNACK(nil, y.ssrc, []uint16{one.SequenceNumber, two.SequenceNumber, two.SequenceNumber + 9}), 0)
	again := read()
	require.Equal(t, y.rtxSSRC, again.SSRC)
	require.EqualValues(t, 97, again.PayloadType)
	require.Equal(t, []byte("h"), again.GetExtension(11))
	require.Equal(t, one.SequenceNumber, binary.BigEndian.Uint16(again.Payload))
	require.Equal(t, one.Payload, again.Payload[2:])
	require.Equal(t, two.Payload, read().Payload[2:])
	sum := y.sum()
	require.EqualValues(t, 2, sum.Resent)
	require.EqualValues(t, 1, sum.Gone)

	p.heedRTCP(appendPLI(nil, y.ssrc), 0)
	p.heedRTCP(appendPLI(nil, y.ssrc+1), 0)
	require.Equal(t, 1, source.keys)
	p.heedRTCP(appendRR(nil, []*stream{{ssrc: y.ssrc}}, 0), 0)
	y.step(begin)
	require.Nil(t, read().GetExtension(4))

	y.enable(false)
	y.step(begin)
	for range 3 {
		y.step(begin)
	}
	require.EqualValues(t, 4, y.sum().Packets, "the frame that had begun is ended")
	y.enable(true)
	require.Equal(t, 2, source.keys)
	y.step(begin)
	require.EqualValues(t, 5, y.sum().Packets)
}
