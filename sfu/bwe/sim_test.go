package bwe

import (
	"cmp"
	"math/rand"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/stretchr/testify/require"
)

// The simulator advances in steps; all its times are µs from the beginning.
const (
	step      = 250
	second    = 1_000_000
	audioRate = 80_000
	audioSize = 200 // bytes, every 20 ms
	mtu       = 1150
)

var simLayers = [...]int64{160_000, 450_000, 1_700_000}

// path is a link and what may go wrong on it. Functions of time may be nil.
type path struct {
	rate     func(t int64) int64 // bits per second
	queue    int64               // tail-drop queue, µs at the present rate
	oneWay   int64               // propagation each way, µs
	detour   func(t int64) int64 // more of it towards the receiver
	jitter   int64               // uniform 0..jitter, order kept
	loss     float64
	lossFrom int64
	away     func(t int64) bool // nothing passes, either way if deaf
	deaf     bool
	policer  int64 // depth of a token bucket in bytes instead of a queue
	cross    func(t int64) int64

	interval int64 // of reports, µs
	fbLoss   float64
	quantum  int64 // arrival times are multiples of it
	drift    float64
	offset   int64 // receiver's clock
	quiet    bool  // no audio
	noVideo  func(t int64) bool
	keyEvery int64
	top      int // highest layer asked for
	start    int64
	wish     int64
	modest   bool // nothing beyond the wish is tried
	end      int64
}

type simPacket struct {
	seq   uint16
	size  int
	sent  int64
	mine  bool
	audio bool
}

type delivery struct {
	simPacket
	at int64
}

type simReport struct {
	at int64
	fb *rtcp.TransportLayerCC
}

type sample struct {
	t, target, capacity, queue int64
	layer                      int // -1 while congested
	congested                  bool
}

// record is what a run showed. Loss is counted per packet.
type record struct {
	samples              []sample
	sent, lost           int
	audioSent, audioLost []int64 // when
	dropped              []int64 // at the queue
	sentAt               []int64
	changes              []int64 // of the layer chosen
	probes               []int64
	padding              int64
	stats                Stats
}

type sim struct {
	path
	rng *rand.Rand
	e   *Estimator
	now time.Time
	t   int64

	seq      uint16
	waiting  []simPacket
	waitSize int64
	credit   float64
	cross    float64
	tokens   float64

	flying  []delivery // ordered
	got     map[uint16]int64
	nextFB  int64
	baseSeq uint16
	haveSeq bool
	highSeq uint16
	fbCount uint8
	reports []simReport

	pacer    []int // sizes of video packets to send, one a step
	layer    int   // forwarded
	want     int
	keyAt    int64 // when the key frame of the wanted layer comes
	nextKey  int64
	debt     float64
	frame    int64
	stopped  bool
	probe    Probe
	probing  bool
	probeEnd int64
	budget   float64
	probed   int

	res record
}

func run(p path, seed int64) *record {
	if p.interval == 0 {
		p.interval = 100 * ms
	}
	if p.quantum == 0 {
		p.quantum = 250
	}
	if p.queue == 0 {
		p.queue = 300 * ms
	}
	if p.start == 0 {
		p.start = 800_000
	}
	if p.top == 0 {
		p.top = len(simLayers) - 1
	}
	s := &sim{path: p, rng: rand.New(rand.NewSource(seed)), now: time.Unix(1_700_000_000, 0), got: map[uint16]int64{}, want: -1, layer: -1}
	s.seq = uint16(s.rng.Intn(1 << 16))
	s.offset = int64(s.rng.Intn(1 << 30))
	s.nextFB = int64(s.rng.Intn(int(p.interval)))
	cfg := Config{Min: 100_000, Start: p.start, Max: 30_000_000, Spare: 25_000_000}
	if p.modest {
		cfg.Spare = 0
	}
	s.e = New(cfg, s.now)
	s.e.SetRTT(time.Duration(2*p.oneWay)*time.Microsecond + 5*time.Millisecond)
	s.e.SetWish(cmp.Or(p.wish, simLayers[p.top]*105/100+audioRate))
	origin := s.now
	for s.t = 0; s.t < p.end; s.t += step {
		s.now = origin.Add(time.Duration(s.t) * time.Microsecond)
		s.media()
		s.link()
		s.receive()
		if s.t%(20*ms) == 0 {
			s.e.Tick(s.now)
			s.allocate()
			s.sample()
		}
	}
	s.res.stats = s.e.Stats()
	return &s.res
}

func (s *sim) capacity() int64 {
	c := s.rate(s.t)
	if s.path.cross != nil {
		c -= s.path.cross(s.t)
	}
	return c
}

func (s *sim) sample() {
	layer := s.want
	if s.e.Congested(s.now) {
		layer = -1
	}
	s.res.samples = append(s.res.samples, sample{s.t, s.e.Target(), s.capacity(), s.waitSize * 8_000_000 / max(s.rate(s.t), 1), layer, layer < 0})
}

func (s *sim) send(size, probe int, audio bool) {
	s.e.Sent(s.seq, size, probe, s.now)
	p := simPacket{seq: s.seq, size: size, sent: s.t, mine: true, audio: audio}
	s.seq++
	s.res.sent++
	s.res.sentAt = append(s.res.sentAt, s.t)
	if audio {
		s.res.audioSent = append(s.res.audioSent, s.t)
	}
	s.enqueue(p)
}

func (s *sim) drop(p simPacket) {
	if !p.mine {
		return
	}
	s.res.lost++
	if p.audio {
		s.res.audioLost = append(s.res.audioLost, s.t)
	}
}

func (s *sim) enqueue(p simPacket) {
	size := int64(p.size)
	if s.away != nil && s.away(s.t) {
		s.drop(p)
		return
	}
	if s.policer > 0 {
		if s.tokens < float64(size) {
			s.res.dropped = append(s.res.dropped, s.t)
			s.drop(p)
			return
		}
		s.tokens -= float64(size)
		s.deliver(p)
		return
	}
	if s.waitSize+size > max(s.rate(s.t)*s.queue/8_000_000, mtu+50) {
		if p.mine {
			s.res.dropped = append(s.res.dropped, s.t)
		}
		s.drop(p)
		return
	}
	s.waiting = append(s.waiting, p)
	s.waitSize += size
}

func (s *sim) deliver(p simPacket) {
	if !p.mine {
		return
	}
	if s.loss > 0 && s.t >= s.lossFrom && s.rng.Float64() < s.loss {
		s.drop(p)
		return
	}
	at := s.t + s.oneWay
	if s.detour != nil {
		at += s.detour(s.t)
	}
	if s.jitter > 0 {
		at += s.rng.Int63n(s.jitter)
	}
	if n := len(s.flying); n > 0 {
		at = max(at, s.flying[n-1].at)
	}
	s.flying = append(s.flying, delivery{p, at})
}

// link serves the queue for one step.
func (s *sim) link() {
	perStep := float64(s.rate(s.t)) / 8e6 * step
	if s.path.cross != nil {
		s.cross += float64(s.path.cross(s.t)) / 8e6 * step
		if s.cross >= mtu {
			s.cross -= mtu
			s.enqueue(simPacket{size: mtu})
		}
	}
	s.tokens = min(s.tokens+perStep, float64(s.policer))
	s.credit += perStep
	for len(s.waiting) > 0 && s.credit >= float64(s.waiting[0].size) {
		p := s.waiting[0]
		s.waiting = s.waiting[1:]
		s.credit -= float64(p.size)
		s.waitSize -= int64(p.size)
		s.deliver(p)
	}
	if len(s.waiting) == 0 {
		s.credit = min(s.credit, perStep)
	}
}

func (s *sim) receive() {
	for len(s.flying) > 0 && s.flying[0].at <= s.t {
		d := s.flying[0]
		s.flying = s.flying[1:]
		clock := d.at + s.offset + int64(s.drift*float64(d.at))
		s.got[d.seq] = clock - clock%s.quantum
		if !s.haveSeq {
			s.haveSeq, s.baseSeq, s.highSeq = true, d.seq, d.seq
		}
		if int16(d.seq-s.highSeq) > 0 {
			s.highSeq = d.seq
		}
	}
	if s.t >= s.nextFB {
		s.nextFB += s.interval
		s.report()
	}
	for len(s.reports) > 0 && s.reports[0].at <= s.t {
		s.e.feedback(s.reports[0].fb, s.now)
		s.reports = s.reports[1:]
	}
}

func (s *sim) report() {
	if len(s.got) == 0 {
		return
	}
	fb := makeReport(s.baseSeq, int(s.highSeq-s.baseSeq)+1, s.fbCount, func(seq uint16) (int64, bool) {
		at, ok := s.got[seq]
		return at, ok
	})
	s.fbCount++
	s.baseSeq = s.highSeq + 1
	clear(s.got)
	if s.rng.Float64() < s.fbLoss || s.deaf && s.away != nil && s.away(s.t) {
		return
	}
	s.reports = append(s.reports, simReport{s.t + s.oneWay, fb})
}

// makeReport builds a report of n packets as Chromium does.
func makeReport(base uint16, n int, count uint8, arrival func(seq uint16) (int64, bool)) *rtcp.TransportLayerCC {
	fb := &rtcp.TransportLayerCC{BaseSequenceNumber: base, PacketStatusCount: uint16(n), FbPktCount: count}
	last, first := int64(0), true
	for i := 0; i < n; i += 7 {
		chunk := &rtcp.StatusVectorChunk{Type: rtcp.TypeTCCStatusVectorChunk, SymbolSize: rtcp.TypeTCCSymbolSizeTwoBit, SymbolList: make([]uint16, 7)}
		for k := i; k < min(i+7, n); k++ {
			at, ok := arrival(base + uint16(k))
			if !ok {
				continue
			}
			if first {
				first = false
				fb.ReferenceTime = uint32(at/64_000) & 0xffffff
				last = at / 64_000 * 64_000
			}
			delta := (at - last) / 250 * 250
			last += delta
			symbol := rtcp.TypeTCCPacketReceivedSmallDelta
			if delta < 0 || delta > 63_750 {
				symbol = rtcp.TypeTCCPacketReceivedLargeDelta
			}
			chunk.SymbolList[k-i] = symbol
			fb.RecvDeltas = append(fb.RecvDeltas, &rtcp.RecvDelta{Type: symbol, Delta: delta})
		}
		fb.PacketChunks = append(fb.PacketChunks, chunk)
	}
	return fb
}

// encode is the RTCP packet of a report.
func encode(fb *rtcp.TransportLayerCC) []byte {
	size := fb.MarshalSize()
	fb.Header = rtcp.Header{Count: rtcp.FormatTCC, Type: rtcp.TypeTransportSpecificFeedback,
		Padding: size%4 != 0, Length: uint16((size+3)/4 - 1)}
	raw, err := fb.Marshal()
	if err != nil {
		panic(err) // a test that says what cannot be said
	}
	return raw
}

func (e *Estimator) feedback(fb *rtcp.TransportLayerCC, now time.Time) { e.Feedback(encode(fb), now) }

// TestReportIsWellFormed guards the simulator: what it tells the estimator is
// what a receiver could send.
func TestReportIsWellFormed(t *testing.T) {
	fb := makeReport(65530, 17, 3, func(seq uint16) (int64, bool) { return 900_000_000 + int64(seq-65530)*30_000, seq%5 != 0 })
	raw := encode(fb)
	var back rtcp.TransportLayerCC
	require.NoError(t, back.Unmarshal(raw))
	require.Equal(t, fb.RecvDeltas, back.RecvDeltas)
	require.Equal(t, fb.PacketStatusCount, back.PacketStatusCount)
}

// allocate picks the highest layer that fits, and nothing while congested.
func (s *sim) allocate() {
	if s.e.Congested(s.now) {
		s.stopped = true
		s.pacer = s.pacer[:0]
		return
	}
	want := -1
	for i, rate := range simLayers[:s.top+1] {
		if rate*105/100 <= s.e.Target()-audioRate {
			want = i
		}
	}
	if want == s.want && !s.stopped {
		return
	}
	if want != s.want {
		s.res.changes = append(s.res.changes, s.t)
	}
	if want < s.layer || s.stopped {
		s.layer = -1 // until the key frame
	}
	s.stopped, s.want, s.keyAt = false, want, s.t+100*ms
}

func (s *sim) media() {
	if s.t%(20*ms) == 0 && !s.quiet {
		s.send(audioSize, s.mark(audioSize), true)
	}
	if s.t >= s.frame {
		s.frame += second / 30
		s.video()
	}
	if len(s.pacer) > 0 {
		size := s.pacer[0]
		s.pacer = s.pacer[1:]
		s.send(size, s.mark(size), false)
	}
	s.pad()
}

// video makes a frame. What a key frame is too big, the next ones make good.
func (s *sim) video() {
	if s.stopped || s.want < 0 || s.noVideo != nil && s.noVideo(s.t) {
		return
	}
	key := false
	if s.layer != s.want && s.t >= s.keyAt {
		s.layer, key, s.debt = s.want, true, 0
		s.nextKey = s.t + s.keyEvery
	}
	if s.layer < 0 {
		return
	}
	if s.keyEvery > 0 && s.t >= s.nextKey {
		key, s.nextKey = true, s.t+s.keyEvery
	}
	mean := float64(simLayers[s.layer]) / 30 / 8
	size := mean * (0.75 + 0.5*s.rng.Float64())
	if key {
		size = min(6*mean, 30_000)
		s.debt += size - mean
	} else if s.debt > 0 {
		repay := min(s.debt, size*0.3)
		s.debt -= repay
		size -= repay
	}
	n := int(size)/mtu + 1
	for i := range n {
		s.pacer = append(s.pacer, (int(size)+i)/n)
	}
}

// mark is the probe a packet belongs to.
func (s *sim) mark(size int) int {
	if !s.probing {
		return 0
	}
	s.budget -= float64(size)
	s.probed += size
	return s.probe.ID
}

func (s *sim) pad() {
	if !s.probing {
		if s.t%(5*ms) != 0 {
			return
		}
		p, ok := s.e.NextProbe(s.now)
		if !ok {
			return
		}
		s.probe, s.probing, s.budget, s.probed = p, true, 0, 0
		s.probeEnd = s.t + 2*p.Duration.Microseconds()
		s.res.probes = append(s.res.probes, s.t)
	}
	s.budget += float64(s.probe.Rate) / 8e6 * step
	if size := min(mtu, max(s.probe.Bytes/s.probe.MinPackets, 60)); s.budget >= float64(size) {
		s.res.padding += int64(size)
		s.send(size, s.mark(size), false)
	}
	if s.probed >= s.probe.Bytes || s.t > s.probeEnd {
		s.probing = false
	}
}
