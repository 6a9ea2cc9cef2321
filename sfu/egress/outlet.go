package egress

import (
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"golang.org/x/time/rate"

	"diemcau/sfu/fanout"
	"diemcau/sfu/seal"
)

const (
	maxPacket  = 1500 // bytes, header included, before sealing
	maxSlack   = 24   // bytes by which a packet may be padded to join a train
	maxTrain   = 48   // segments; the kernel takes 64
	audioTags  = 128  // packets that may be sent again as they were: as many as are remembered
	videoTags  = 512  // of the track
	logFaultIn = 10 * time.Second
)

// Outlet is the way out to one peer. It belongs to the worker of its shard; Close may
// be called by anybody.
type Outlet struct {
	shard  *Shard
	sealer *seal.Sealer
	route  *atomic.Pointer[Route]
	log    *slog.Logger
	closed atomic.Bool
	faults *rate.Limiter

	dirty   bool
	buf     []byte // of the shard; what is in it waits to be sealed
	waiting []packet
}

// packet is one that waits, in its outlet's buffer. Behind it there is room for
// padding and tag.
type packet struct {
	at, size int // bytes
	header   int // bytes of it
	stream   *seal.Stream
	paddable bool
}

// NewOutlet makes the way out to a peer: sealed by sealer, sent by what route holds
// when a train leaves. What is sent without a route is dropped.
func (s *Shard) NewOutlet(sealer *seal.Sealer, route *atomic.Pointer[Route], log *slog.Logger) *Outlet {
	return &Outlet{shard: s, sealer: sealer, route: route, log: log, faults: rate.NewLimiter(rate.Every(logFaultIn), 1)}
}

// Close has what is written from now on refused.
func (o *Outlet) Close() { o.closed.Store(true) }

// Writer is the egress of one stream, fanout.Egress.
type Writer struct {
	out   *Outlet
	media *seal.Stream
	ssrc  uint32
	rtx   *seal.Stream // nil: what is sent again is the same packet
	rtxID uint32
	tags  int
	rtcp  func([]rtcp.Packet) error
}

var _ fanout.Egress = (*Writer)(nil)

// NewWriter makes the egress of the stream of an SSRC. Its reports go through rtcp.
func (o *Outlet) NewWriter(ssrc uint32, video bool, rtcp func([]rtcp.Packet) error) *Writer {
	w := &Writer{out: o, ssrc: ssrc, rtcp: rtcp, tags: audioTags}
	if video {
		w.tags = videoTags
	}
	return w
}

// UseRTX has retransmissions bear another SSRC (RFC 4588); 0: the packets
// themselves are sent again. Call it before the first packet, and on the worker's
// goroutine.
func (w *Writer) UseRTX(ssrc uint32) {
	w.media = w.out.sealer.Stream(w.ssrc)
	if ssrc == 0 {
		w.rtx = nil
		w.media.KeepTags(w.tags)
		return
	}
	w.rtx, w.rtxID = w.out.sealer.Stream(ssrc), ssrc
}

// Close forgets what was sent. Call it on the worker's goroutine.
func (w *Writer) Close() {
	w.out.sealer.End(w.ssrc)
	if w.rtxID != 0 {
		w.out.sealer.End(w.rtxID)
	}
}

// WriteRTCP sends reports.
func (w *Writer) WriteRTCP(pkts []rtcp.Packet) error { return w.rtcp(pkts) }

// WriteRTP lays a packet out to be sent with the next flush. It keeps neither header
// nor payload.
func (w *Writer) WriteRTP(h *rtp.Header, payload []byte) error {
	o := w.out
	if o.closed.Load() {
		return ErrClosed
	}
	size := h.MarshalSize() + len(payload)
	if size > maxPacket {
		return ErrSize
	}
	room := size + maxSlack + o.sealer.Overhead()
	if cap(o.buf)-len(o.buf) < room {
		o.pack()
		o.buf = o.shard.buffer()
	}
	at := len(o.buf)
	o.buf = o.buf[:at+room]
	n, err := h.MarshalTo(o.buf[at:])
	if err != nil {
		o.buf = o.buf[:at]
		return err
	}
	copy(o.buf[at+n:], payload)
	p := packet{at: at, size: size, header: n, stream: w.media, paddable: w.rtx != nil && !h.Padding}
	if w.rtx != nil && h.SSRC == w.rtxID {
		p.stream = w.rtx
	}
	o.waiting = append(o.waiting, p)
	if !o.dirty {
		o.dirty = true
		o.shard.dirty = append(o.shard.dirty, o)
	}
	if o.shard.pending += room; o.shard.pending > 4*maxPending {
		o.shard.Flush()
	}
	return nil
}

// pack seals what waits and hands it to the socket's batch, or to the connection.
func (o *Outlet) pack() {
	route := o.route.Load()
	switch {
	case route == nil || o.closed.Load():
		o.shard.count.Dropped.Add(uint64(len(o.waiting)))
	case route.Socket == nil:
		o.one(route)
	default:
		for rest := o.waiting; len(rest) > 0; {
			n, size := run(rest)
			o.train(route, rest[:n], size)
			rest = rest[n:]
		}
	}
	o.waiting, o.buf = o.waiting[:0], nil
}

// run finds how many of the first packets make a train, and the size in bytes to
// which all but the last are padded.
func run(waiting []packet) (n, size int) {
	low, high, fixed := waiting[0].size, waiting[0].size, 0 // fixed: size of those that take no padding
	if !waiting[0].paddable {
		fixed = high
	}
	for n = 1; n < len(waiting) && n < maxTrain; n++ {
		p := &waiting[n]
		l, h := min(low, p.size), max(high, p.size)
		equal := h-l <= maxSlack && (fixed == 0 || fixed == h) && (p.paddable || p.size == h)
		if !equal {
			if p.size < high {
				n++ // the last may be shorter
			}
			break
		}
		if low, high = l, h; !p.paddable {
			fixed = h
		}
	}
	return n, high
}

// train seals packets next to one another and has them sent.
func (o *Outlet) train(route *Route, packets []packet, size int) {
	sealed := size + o.sealer.Overhead()
	start := packets[0].at
	end := start
	for i := range packets {
		p := &packets[i]
		if grow := size - p.size; grow > 0 && i < len(packets)-1 {
			o.pad(p, grow)
		}
		// What comes before is shorter than its room, so this moves down.
		if p.at != end {
			copy(o.buf[end:], o.buf[p.at:p.at+p.size])
		}
		out, err := p.stream.Seal(o.buf[end : end+p.size])
		if err != nil {
			o.lost(1, err)
			continue
		}
		end += len(out)
	}
	if end == start {
		return
	}
	n := (end - start + sealed - 1) / sealed
	o.shard.count.Packets.Add(uint64(n))
	o.shard.count.Trains.Add(1)
	o.shard.batch(route.Socket).Add(route.To, o.buf[start:end], sealed, o)
}

// pad makes a packet longer by n bytes that its receiver throws away.
func (o *Outlet) pad(p *packet, n int) {
	b := o.buf[p.at : p.at+p.size+n]
	clear(b[p.size:])
	b[len(b)-1] = byte(n)
	b[0] |= 0x20
	p.size += n
}

// one sends what waits packet by packet.
func (o *Outlet) one(route *Route) {
	for i := range o.waiting {
		p := &o.waiting[i]
		out, err := p.stream.Seal(o.buf[p.at : p.at+p.size : p.at+p.size+maxSlack+o.sealer.Overhead()])
		if err == nil {
			_, err = route.Packets.WriteTo(out, route.Addr)
		}
		if err != nil {
			o.lost(1, err)
			continue
		}
		o.shard.count.Packets.Add(1)
		o.shard.count.Trains.Add(1)
	}
}

// lost counts packets that did not leave, and says so now and then.
func (o *Outlet) lost(n int, err error) {
	o.shard.count.Dropped.Add(uint64(n))
	if o.faults.Allow() {
		o.log.Debug("packets to a subscriber dropped", "count", n, "err", err)
	}
}
