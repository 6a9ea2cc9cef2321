// Package uptrack reads one published track: its layers as they arrive, their
// sender reports and levels, and asks the publisher for key frames.
package uptrack

import (
	"encoding/binary"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"

	"diemcau/sfu/codec"
	"diemcau/sfu/fanout"
	"diemcau/sfu/rtpcache"
)

// Packets kept per layer for late forwarding and NACKs.
const (
	VideoRing = 512
	AudioRing = 128 // 2.5 s at 20 ms
)

const (
	maxPacket  = 1500
	keyFrameIn = 300 * time.Millisecond // least time between two key-frame requests of a layer

	// SilentAfter is how long a video layer may send nothing before it counts as
	// switched off at its publisher.
	SilentAfter = 2500 * time.Millisecond
)

// Stream is where a layer's packets come from: a webrtc.TrackRemote.
type Stream interface {
	Read(b []byte) (n int, attrs interceptor.Attributes, err error)
}

// Report is the last sender report (RFC 3550 section 6.4.1) of a layer.
type Report struct {
	NTP     uint64    // the publisher's clock, 32.32 fixed-point seconds
	RTP     uint32    // the layer's time stamp at NTP
	Arrival time.Time // ours
}

// Config describes a layer.
type Config struct {
	SSRC      uint32
	Mime      string // lower case
	ClockRate uint32
	LevelID   uint8 // header extension id of the audio level; 0 if none
	// DescriptorID is the header extension id of the dependency descriptor; 0 if none.
	DescriptorID uint8
	Stream       Stream
	NACK         bool // the publisher answers NACKs
	// Repairs, if set, is called when a packet is asked for, until it returns true: it finds
	// the stream of what is sent again.
	Repairs func() bool
	// WriteRTCP sends to the publisher.
	WriteRTCP func([]rtcp.Packet) error
	// Ended is called once, when the stream has ended.
	Ended func()
	// Onset, if set, is called when an audio stream begins to be loud. It must not
	// block.
	Onset func()
	Log   *slog.Logger
}

// Layer is one received RTP stream of a track: an audio track, or one simulcast
// layer. Its reader ends when the stream does.
type Layer struct {
	cfg   Config
	video bool
	pool  *fanout.Pool
	ring  *rtpcache.Ring
	idle  idle
	feed  *fanout.Feed

	seconds [keepFor]uint32 // slots that came next when Tidy was called; of who calls it, as tidied
	tidied  int

	wg sync.WaitGroup

	report    atomic.Pointer[Report]
	arrival   atomic.Int64 // unix nanoseconds of the newest packet
	packets   atomic.Uint64
	bytes     atomic.Uint64
	recovered atomic.Uint64
	newest    atomic.Uint32 // sequence number + 1<<16 of the newest packet; 0 before the first
	meter     meter
	voice     voice

	mu      sync.Mutex // held while a packet is taken; guards what follows, until redBuf
	parser  *fanout.Parser
	parsed  fanout.Packet
	seen    seen
	missing missing
	repairs bool               // their stream was found
	red     *codec.REDRecovery // of a RED stream
	redBuf  []byte

	keyMu   sync.Mutex
	keyLast time.Time

	levelMu sync.Mutex
	level   levelWindow
}

// Start begins to read the layer.
func Start(cfg Config, pool *fanout.Pool) *Layer {
	size, video := VideoRing, true
	if strings.HasPrefix(cfg.Mime, "audio/") {
		size, video = AudioRing, false
	}
	l := &Layer{cfg: cfg, video: video, pool: pool, ring: rtpcache.New(size)}
	format := fanout.Format{Mime: cfg.Mime, DescriptorID: cfg.DescriptorID}
	l.feed, l.parser = pool.NewFeed(l.ring, format), fanout.NewParser(format)
	l.wg.Add(1)
	if cfg.Mime == codec.MimeRED {
		l.red, l.redBuf = &codec.REDRecovery{}, make([]byte, maxPacket)
	}
	go l.read()
	return l
}

// Wait returns when the layer's stream has ended and its reader with it.
func (l *Layer) Wait() { l.wg.Wait() }

// Feed is where to get the layer's packets from.
func (l *Layer) Feed() *fanout.Feed { return l.feed }

// Get copies the packet of a sequence number into buf; 0 if it is gone.
func (l *Layer) Get(seq uint16, buf []byte) int { return l.ring.Get(seq, buf) }

// Report is the last sender report, nil before the first.
func (l *Layer) Report() *Report { return l.report.Load() }

// Mime is the media type of the layer's packets, in lower case.
func (l *Layer) Mime() string { return l.cfg.Mime }

// ClockRate in Hz.
func (l *Layer) ClockRate() uint32 { return l.cfg.ClockRate }

// Live tells whether the layer sent anything lately.
func (l *Layer) Live(now time.Time) bool {
	last := l.arrival.Load()
	return last != 0 && now.UnixNano()-last < int64(SilentAfter)
}

// Counts are the packets and payload bytes received so far.
func (l *Layer) Counts() (packets, bytes uint64) { return l.packets.Load(), l.bytes.Load() }

func (l *Layer) read() {
	defer l.wg.Done()
	defer l.cfg.Ended()
	buf := make([]byte, maxPacket)
	for {
		n, _, err := l.cfg.Stream.Read(buf)
		if err != nil {
			l.cfg.Log.Debug("layer ended", "ssrc", l.cfg.SSRC, "err", err)
			return
		}
		l.Take(buf[:n], time.Now())
	}
}

// Take takes a packet of the layer, which it changes and does not keep, and when it came. It
// does not block. What the stream gives is taken too, by the layer's reader.
func (l *Layer) Take(pkt []byte, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := &l.parsed
	if !l.parser.Parse(p, pkt) {
		return
	}
	seq, prev, follows := p.Header.SequenceNumber, l.seen.top, l.seen.begun
	if !l.seen.first(seq) {
		return
	}
	if follows && l.cfg.NACK {
		l.lack(prev, seq, now)
	}
	if len(p.Payload) > 0 {
		l.arrival.Store(now.UnixNano())
	}
	l.packets.Add(1)
	l.bytes.Add(uint64(len(p.Payload)))
	end := p.Header.Marker
	if p.Scalable {
		end = p.Frame.Last
	}
	l.meter.add(now, p.Spatial(), p.Temporal(), len(p.Payload), end)
	if l.red != nil {
		l.recoverLost(pkt, p, now)
	}
	l.keep(seq, pkt, now)
	l.askAgain(now)
	if l.cfg.Onset != nil {
		l.listen(pkt, p.Header, now)
	}
}

// keep stores a packet and hands it on, unless it came before.
func (l *Layer) keep(seq uint16, pkt []byte, now time.Time) {
	if l.unwanted() {
		return
	}
	slot, ok := l.ring.Store(seq, pkt)
	if !ok {
		return
	}
	if last := l.newest.Load(); last == 0 || int16(seq-uint16(last)) > 0 {
		l.newest.Store(uint32(seq) | 1<<16)
	}
	l.pool.Post(l.feed, slot, now)
}

// recoverLost makes packets that were lost on the way here out of the redundancy of
// one that came (RFC 2198): RED packets without redundancy.
func (l *Layer) recoverLost(pkt []byte, p *fanout.Packet, now time.Time) {
	start := p.Header.PayloadStart
	if len(p.Payload) == 0 {
		return
	}
	l.red.Recover(p.Header.SequenceNumber, p.Header.Timestamp, p.Payload, func(seq uint16, ts uint32, opus []byte) {
		if start+1+len(opus) > len(l.redBuf) || !l.seen.first(seq) {
			return
		}
		b := l.redBuf[:start+1+len(opus)]
		copy(b, pkt[:start])
		b[0] &^= 0x20 // no padding
		b[1] &^= 0x80 // no marker
		binary.BigEndian.PutUint16(b[2:], seq)
		binary.BigEndian.PutUint32(b[4:], ts)
		b[start] = opusInRED
		copy(b[start+1:], opus)
		l.recovered.Add(1)
		l.missing.forget(seq)
		l.keep(seq, b, now)
	})
}

// opusInRED is the payload type in the block headers of what is recovered;
// downtrack puts in the subscriber's.
const opusInRED = 111

// Recovered counts the packets that redundancy brought back.
func (l *Layer) Recovered() uint64 { return l.recovered.Load() }

// listen follows the level of an audio packet. Where there is none, as from a
// gateway, a packet that is more than comfort noise counts as speech.
func (l *Layer) listen(pkt []byte, h codec.Header, now time.Time) {
	level, _, ok := codec.AudioLevel(codec.HeaderExtension(pkt, l.cfg.LevelID))
	switch {
	case ok:
		l.levelMu.Lock()
		l.level.add(level)
		l.levelMu.Unlock()
	case h.PayloadEnd-h.PayloadStart > comfortNoise:
		level = loudDBov
	default:
		level = quietDBov
	}
	if l.voice.add(level, now) {
		l.cfg.Onset()
	}
}

const comfortNoise = 10 // bytes of payload at most

// Newest is the sequence number of the newest packet; false before the first.
func (l *Layer) Newest() (seq uint16, ok bool) {
	n := l.newest.Load()
	return uint16(n), n != 0
}

// Reported takes what a sender report of the publisher's says: its clock, as 32.32 fixed-point
// seconds, the layer's time stamp then, and when the report came.
func (l *Layer) Reported(ntp uint64, rtp uint32, at time.Time) {
	l.report.Store(&Report{NTP: ntp, RTP: rtp, Arrival: at})
}

// RequestKeyFrame asks the publisher for a key frame (PLI, RFC 4585 section
// 6.3.1), at most once every 300 ms however many subscribers ask.
func (l *Layer) RequestKeyFrame() {
	now := time.Now()
	l.keyMu.Lock()
	if now.Sub(l.keyLast) < keyFrameIn {
		l.keyMu.Unlock()
		return
	}
	l.keyLast = now
	l.keyMu.Unlock()
	if err := l.cfg.WriteRTCP([]rtcp.Packet{
		&rtcp.PictureLossIndication{SenderSSRC: l.cfg.SSRC, MediaSSRC: l.cfg.SSRC},
	}); err != nil {
		l.cfg.Log.Debug("key-frame request", "ssrc", l.cfg.SSRC, "err", err)
	}
}

// TakeLevel returns how loud the layer was since the last call and begins anew.
func (l *Layer) TakeLevel() Loudness {
	l.levelMu.Lock()
	defer l.levelMu.Unlock()
	return l.level.take()
}
