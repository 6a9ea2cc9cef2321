// Package downtrack is the way of published tracks to one subscriber.
//
// A Line is shared by all streams to the subscriber: it estimates the bandwidth,
// shares it out, numbers and paces the packets. A DownTrack is one of the streams:
// it picks the layer, rewrites headers so that the subscriber sees one continuous
// stream, answers NACKs and reports as sender.
package downtrack

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"diemcau/sfu/codec"
	"diemcau/sfu/fanout"
	"diemcau/sfu/seqmap"
	"diemcau/sfu/uptrack"
)

// MaxLayers is how many simulcast layers a track may have: q, h, f.
const MaxLayers = 3

// None as a layer means that nothing is forwarded.
const None = -1

const (
	reportEvery = 2 * time.Second
	maxPacket   = 1500
)

// Config describes a stream to a subscriber.
type Config struct {
	TrackID  string // the track's sid; the id in msid
	StreamID string // the stream id in msid
	Stereo   bool   // of audio
	// Encrypted says that the payload is encrypted end to end. It is sent as it came: a
	// client decrypts the payload of a packet as a whole, RED and all.
	Encrypted bool
	Codec     webrtc.RTPCodecCapability
	Backups   []webrtc.RTPCodecCapability // in which it can be sent too, by Use
	Kind      webrtc.RTPCodecType
	// Bound is called once, from another goroutine, when the stream is negotiated. It
	// is told which codecs the subscriber takes: 0 is Codec, 1 the first of Backups.
	// Without the first the stream does not flow before Use.
	Bound func(can []int)
	// Unsupported is called instead of Bound if the subscriber cannot take any.
	Unsupported func()
	Log         *slog.Logger
}

// Stats are the receiver's reports about this stream (RFC 3550 section 6.4.1).
type Stats struct {
	Lost     uint8         // fraction lost, of 256, in the last interval
	RTT      time.Duration // 0 before the first report
	At       time.Time
	Sent     uint64 // packets
	Resent   uint64
	KeyAsked uint64 // key-frame requests of the subscriber
}

// DownTrack implements webrtc.TrackLocal and fanout.Member. What its worker
// owns is touched on the worker's goroutine only; others send commands.
type DownTrack struct {
	cfg    Config
	line   *Line
	worker *fanout.Worker
	mime   string
	video  bool

	closed atomic.Bool
	rtt    atomic.Int64 // nanoseconds
	lost   atomic.Uint32
	lostAt atomic.Int64
	sent   atomic.Uint64
	resent atomic.Uint64
	asked  atomic.Uint64

	section  func() string // tells the mid; may be nil
	out      output
	started  bool
	layers   [MaxLayers]*uptrack.Layer // nil while the publisher does not send it
	attached [MaxLayers]bool
	wish     Wish      // what the subscriber asked for
	allowed  option    // what its bandwidth allows
	options  []option  // of offers, to be used again
	costs    []int64   // the same
	starved  bool      // paused for want of bandwidth, and said so
	target   int       // what is being switched to, or is current
	current  int       // what is forwarded
	temporal int       // highest temporal layer forwarded
	ending   time.Time // paused, but the frame under way is still to be finished; zero if not
	midFrame bool      // the newest packet sent was not the last of its frame
	held     held
	went     went
	seq      seqmap.Map
	ids      ids
	svc      codec.SVC
	scalable bool // of a codec with spatial layers in one stream
	spatial  int  // of such a stream: layer forwarded
	nested   bool // and lower ones with it
	red      redundancy
	clock    timeline
	history  history
	// repairable is how many bytes may be sent again.
	repairable int

	replayedTo uint16 // of audio: newest packet sent, of the source
	replayed   bool
	goesOn     bool // what is let through now was sent up to replayedTo until now, by another stream
	announced  bool // the subscriber knows the stream by a description
	opened     int  // packets sent to open the stream while it is paused
	paced      int  // packets waiting in the line's pacer

	// Reports.
	packets    uint32
	octets     uint32
	lastReport time.Time
	reports    reportLog
}

// output is what Bind learned about the negotiated stream.
type output struct {
	ready   bool
	formats []webrtc.RTPCodecParameters // all negotiated
	pion    webrtc.TrackLocalWriter
	egress  fanout.Egress // nil until the stream is started
	ssrc    uint32
	pt      uint8
	rtxAble uint32 // SSRC of retransmissions, if the codec has a format for them
	rtxSSRC uint32 // the same; 0 if it has not
	rtxPT   uint8
	rtxSeq  uint16
	redPT   uint8 // of audio: RED (RFC 2198); 0 if not negotiated
	// Header extension ids, 0 if not negotiated: transport-wide sequence number,
	// dependency descriptor, mid.
	twcc, descriptor, midID uint8
	// mid is the media section the stream is described in. It is in each packet (RFC 9143
	// section 15), so that one that overtakes the description is not taken for another
	// section's: Firefox would have that section receive this stream, and this one nothing.
	mid    []byte
	header rtp.Header
}

// New makes a stream on line that begins to flow once it is bound, started and
// has a layer.
func New(cfg Config, line *Line, wish Wish) *DownTrack {
	d := &DownTrack{
		cfg: cfg, line: line, worker: line.worker,
		video: cfg.Kind == webrtc.RTPCodecTypeVideo,
		wish:  wish, allowed: option{MaxLayers - 1, allTemporal}, target: None, current: None, temporal: allTemporal,
	}
	d.setCodec(cfg.Codec)
	d.history.size = uptrack.AudioRing
	if d.video { // what is not in the layer's ring cannot be sent again
		d.history.size = uptrack.VideoRing
	}
	d.worker.Do(func() { line.add(d) })
	return d
}

func (d *DownTrack) setCodec(c webrtc.RTPCodecCapability) {
	d.mime = strings.ToLower(c.MimeType)
	d.clock.rate = c.ClockRate
	d.scalable = d.mime == codec.MimeVP9 || d.mime == codec.MimeAV1
}

// Close stops the stream without waiting.
func (d *DownTrack) Close() {
	if d.closed.Swap(true) {
		return
	}
	d.worker.Do(func() {
		for i := range d.layers {
			d.detach(i)
		}
		d.line.remove(d)
		if d.out.egress != nil {
			d.out.ready = false
			d.out.egress.Close()
		}
	})
}

// Start says that the subscriber's transport is connected: what was sent before
// would be lost, and a key frame with it.
func (d *DownTrack) Start() {
	d.worker.Do(func() {
		if !d.closed.Load() {
			d.started = true
			d.findWay()
			d.line.allocate(time.Now())
			d.choose(time.Now())
		}
	})
}

// Announced says that the subscriber has taken in the description of the stream by
// now, so that it may be opened.
func (d *DownTrack) Announced() { d.worker.Do(func() { d.announced = true }) }

// SetLayer makes known that layer i (0 the lowest) is received as l, or ended
// (nil).
func (d *DownTrack) SetLayer(i int, l *uptrack.Layer) {
	d.worker.Do(func() {
		if d.closed.Load() {
			return
		}
		d.detach(i)
		if d.current == i {
			d.current = None
			d.ending = time.Time{}
		}
		if d.target == i {
			d.target = None
		}
		if d.layers[i] != nil {
			d.history.clear() // its packets cannot be had any more
			d.replayed = false
		}
		d.layers[i] = l
		d.choose(time.Now())
	})
}

// unplug takes all layers away, and with them what can be sent again.
func (d *DownTrack) unplug() {
	for i := range d.layers {
		d.detach(i)
		d.layers[i] = nil
	}
	d.history.clear()
	d.current, d.target, d.replayed = None, None, false
	d.ending, d.held, d.went = time.Time{}, held{}, went{}
}

// Use makes the stream carry the same track in another codec, of which these layers
// are received.
func (d *DownTrack) Use(c webrtc.RTPCodecCapability, layers [MaxLayers]*uptrack.Layer) {
	d.worker.Do(func() {
		params, ok := matchCodec(c, d.out.formats)
		if d.closed.Load() || !ok {
			return
		}
		d.unplug()
		d.setCodec(c)
		d.svc, d.nested, d.spatial = codec.SVC{}, false, 0
		d.out.use(params)
		d.findWay()
		d.layers = layers
		now := time.Now()
		d.line.allocate(now)
		d.choose(now)
	})
}

// use has packets sent in a negotiated format.
func (o *output) use(params webrtc.RTPCodecParameters) {
	o.ready, o.pt, o.rtxPT = true, uint8(params.PayloadType), 0
	if rtx, ok := rtxFor(params.PayloadType, o.formats); ok && o.rtxAble != 0 {
		o.rtxSSRC, o.rtxPT = o.rtxAble, rtx
	} else {
		o.rtxSSRC = 0
	}
}

// SetWish changes what the subscriber wants.
func (d *DownTrack) SetWish(w Wish) {
	d.worker.Do(func() {
		if !d.closed.Load() && d.wish != w {
			d.wish = w
			now := time.Now()
			if d.video {
				d.line.allocate(now)
			}
			d.choose(now)
		}
	})
}

// Stats reads the counters.
func (d *DownTrack) Stats() Stats {
	return Stats{
		Lost: uint8(d.lost.Load()), RTT: time.Duration(d.rtt.Load()), At: time.Unix(0, d.lostAt.Load()),
		Sent: d.sent.Load(), Resent: d.resent.Load(), KeyAsked: d.asked.Load(),
	}
}

// The following five methods make it a webrtc.TrackLocal.

// ID is the track's sid.
func (d *DownTrack) ID() string { return d.cfg.TrackID }

// RID is empty: subscribers get one layer.
func (d *DownTrack) RID() string { return "" }

// StreamID is the stream id in msid.
func (d *DownTrack) StreamID() string { return d.cfg.StreamID }

// Stereo tells whether the sound is in stereo, for descriptions.
func (d *DownTrack) Stereo() bool { return d.cfg.Stereo }

// Kind is audio or video.
func (d *DownTrack) Kind() webrtc.RTPCodecType { return d.cfg.Kind }

// Bind takes the negotiated SSRCs and payload types.
func (d *DownTrack) Bind(ctx webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	var can []int
	var params webrtc.RTPCodecParameters
	for i, c := range append([]webrtc.RTPCodecCapability{d.cfg.Codec}, d.cfg.Backups...) {
		if p, ok := matchCodec(c, ctx.CodecParameters()); ok {
			if can = append(can, i); len(can) == 1 {
				params = p
			}
		}
	}
	if len(can) == 0 {
		// An error would end the negotiation of the subscriber's other tracks.
		if d.cfg.Unsupported != nil {
			d.cfg.Unsupported()
		}
		if have := ctx.CodecParameters(); len(have) > 0 {
			return have[0], nil
		}
		return webrtc.RTPCodecParameters{}, fmt.Errorf("%w: %s", webrtc.ErrUnsupportedCodec, d.cfg.Codec.MimeType)
	}
	out := output{
		pion: ctx.WriteStream(), formats: slices.Clone(ctx.CodecParameters()),
		ssrc: uint32(ctx.SSRC()), rtxAble: uint32(ctx.SSRCRetransmission()),
	}
	if can[0] == 0 {
		out.use(params)
	}
	for _, e := range ctx.HeaderExtensions() {
		switch e.URI {
		case sdp.TransportCCURI:
			out.twcc = uint8(e.ID)
		case codec.DependencyDescriptorURI:
			out.descriptor = uint8(e.ID)
		case sdp.SDESMidURI:
			out.setMid(uint8(e.ID), d.section)
		}
	}
	for _, c := range ctx.CodecParameters() {
		if strings.EqualFold(c.MimeType, codec.MimeRED) {
			out.redPT = uint8(c.PayloadType)
		}
	}
	d.worker.Do(func() {
		if !d.closed.Load() {
			d.out = out
			d.findWay()
			d.line.allocate(time.Now())
			d.choose(time.Now())
		}
	})
	if d.cfg.Bound != nil {
		d.cfg.Bound(can)
	}
	return params, nil
}

// Section sets what tells the mid of the stream's media section, once it has one. It is to
// be called before Bind, on the same goroutine.
func (d *DownTrack) Section(mid func() string) { d.section = mid }

func (o *output) setMid(id uint8, section func() string) {
	if section == nil {
		return
	}
	if mid := section(); len(mid) > 0 && len(mid) <= 16 { // RFC 8285 section 4.2
		o.midID, o.mid = id, []byte(mid)
	}
}

// Unbind stops writing.
func (d *DownTrack) Unbind(webrtc.TrackLocalContext) error {
	d.worker.Do(func() { d.out.ready = false })
	return nil
}

// findWay finds the way out for the stream, once it is negotiated and the connection is
// secured. Which it is never changes in the stream's life: packets of one SSRC must be
// sealed in one place.
func (d *DownTrack) findWay() {
	if d.out.pion == nil || !d.started {
		return
	}
	if d.out.egress == nil && d.line.cfg.Egress != nil {
		d.out.egress = d.line.cfg.Egress(d.out.ssrc, d.video)
	}
	if d.out.egress == nil {
		d.out.egress = writer{d.out.pion, d.line.cfg.WriteRTCP}
	}
	d.out.egress.UseRTX(d.out.rtxSSRC)
}

// writer is the egress through Pion's own sealing.
type writer struct {
	stream webrtc.TrackLocalWriter
	rtcp   func([]rtcp.Packet) error
}

func (w writer) WriteRTP(h *rtp.Header, payload []byte) error {
	_, err := w.stream.WriteRTP(h, payload)
	return err
}

func (w writer) WriteRTCP(pkts []rtcp.Packet) error { return w.rtcp(pkts) }

func (w writer) UseRTX(uint32) {}

func (w writer) Close() {}

// matchCodec finds the negotiated format to send a codec in. H.264 agrees in
// packetization mode where possible, in any case not in one that lacks what is sent,
// and in profile where possible (RFC 6184 section 8.1); all this once its parameters
// are known.
func matchCodec(want webrtc.RTPCodecCapability, have []webrtc.RTPCodecParameters) (webrtc.RTPCodecParameters, bool) {
	best, score := -1, 0
	for i, c := range have {
		if !strings.EqualFold(c.MimeType, want.MimeType) {
			continue
		}
		s := 1
		if strings.EqualFold(c.MimeType, webrtc.MimeTypeH264) && want.SDPFmtpLine != "" {
			switch mode := fmtp(c.SDPFmtpLine, "packetization-mode"); {
			case mode == fmtp(want.SDPFmtpLine, "packetization-mode"):
				s += 2
			case mode == "0":
				continue // fragments are not for who takes whole NAL units only
			}
			if p, q := fmtp(c.SDPFmtpLine, "profile-level-id"), fmtp(want.SDPFmtpLine, "profile-level-id"); len(p) == 6 && len(q) == 6 && strings.EqualFold(p[:2], q[:2]) {
				s++
			}
		}
		if s > score {
			best, score = i, s
		}
	}
	if best < 0 {
		return webrtc.RTPCodecParameters{}, false
	}
	return have[best], true
}

// rtxFor finds the RTX format that repairs pt (RFC 4588 section 8.1).
func rtxFor(pt webrtc.PayloadType, have []webrtc.RTPCodecParameters) (uint8, bool) {
	i := slices.IndexFunc(have, func(c webrtc.RTPCodecParameters) bool {
		return strings.EqualFold(c.MimeType, webrtc.MimeTypeRTX) &&
			fmtp(c.SDPFmtpLine, "apt") == fmt.Sprint(uint8(pt))
	})
	if i < 0 {
		return 0, false
	}
	return uint8(have[i].PayloadType), true
}

// fmtp reads one parameter of a format's fmtp line; "" if it is absent, which
// for packetization-mode means 0.
func fmtp(line, key string) string {
	for part := range strings.SplitSeq(line, ";") {
		if k, v, ok := strings.Cut(strings.TrimSpace(part), "="); ok && strings.EqualFold(k, key) {
			return v
		}
	}
	if key == "packetization-mode" {
		return "0"
	}
	return ""
}
