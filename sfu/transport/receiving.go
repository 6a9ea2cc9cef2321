package transport

import (
	"encoding/binary"
	"log/slog"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/rtcp"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
	"golang.org/x/time/rate"

	"diemcau/sfu/codec"
)

// receiving is what a publisher is told of its media: receiver reports (RFC 3550 section
// 6.4.2) and when each packet came (transport-wide feedback). It stands where the peer
// connection hands packets out, whichever way they came. Most participants of a large room
// never send any; theirs costs nothing.
type receiving struct {
	interceptor.NoOp
	reporter *reporter
	bufs     *buffers
	log      *slog.Logger
	asks     *rate.Limiter

	mu       sync.Mutex
	writer   interceptor.RTCPWriter // guarded by mu
	closed   bool                   // guarded by mu
	ssrc     uint32                 // of the reports; guarded by mu; 0 before the first stream
	streams  map[uint32]*received   // guarded by mu
	arrivals *twcc.Recorder         // guarded by mu; nil before the first stream
	began    time.Time              // guarded by mu; what arrivals counts from

	untold     int       // bytes of which the feedback was not sent; guarded by mu
	feedbackAt time.Time // not before; guarded by mu
	feedbackOn time.Time // when the last was sent; guarded by mu
	fresh      bool      // something came since the last report; guarded by mu
	reportAt   time.Time // not before; guarded by mu
}

// Feedback takes a twentieth of what comes, as libwebrtc has it (RemoteEstimatorProxy).
const (
	leastFeedback = 100 * time.Millisecond
	mostFeedback  = 250 * time.Millisecond
	feedbackShare = 20
	feedbackSize  = 68 // bytes, with IP and UDP
	reportEvery   = time.Second
	maxReports    = 31 // blocks of one report
	asksPerSecond = 400
)

func newReceiving(r *reporter, bufs *buffers, log *slog.Logger) *receiving {
	return &receiving{
		reporter: r, bufs: bufs, log: log, streams: make(map[uint32]*received),
		asks: rate.NewLimiter(asksPerSecond, asksPerSecond/4),
	}
}

// NewInterceptor implements interceptor.Factory, for one peer connection.
func (r *receiving) NewInterceptor(string) (interceptor.Interceptor, error) { return r, nil }

// BindRTCPWriter takes the way to the peer.
func (r *receiving) BindRTCPWriter(w interceptor.RTCPWriter) interceptor.RTCPWriter {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.writer = w
	return w
}

// BindRemoteStream follows a stream.
func (r *receiving) BindRemoteStream(info *interceptor.StreamInfo, reader interceptor.RTPReader) interceptor.RTPReader {
	s := r.follow(info)
	if s == nil {
		return reader
	}
	return interceptor.RTPReaderFunc(func(b []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
		n, a, err := reader.Read(b, a)
		if err == nil && r.came(s, b[:n], time.Now()) {
			n = 0 // it was given to the stream that it repairs
		}
		return n, a, err
	})
}

// follow gives nil when the connection is at its end.
func (r *receiving) follow(info *interceptor.StreamInfo) *received {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	if r.ssrc == 0 {
		r.ssrc = rand.Uint32() | 1 //nolint:gosec // G404: a name, no secret
		r.arrivals, r.began = twcc.NewRecorder(r.ssrc), time.Now()
		r.reporter.add(r)
	}
	s := &received{ssrc: info.SSRC, rate: info.ClockRate, repair: strings.EqualFold(info.MimeType, webrtc.MimeTypeRTX)}
	for _, e := range info.RTPHeaderExtensions {
		if e.URI == sdp.TransportCCURI {
			s.twcc = uint8(e.ID)
		}
	}
	r.streams[info.SSRC] = s
	return s
}

// UnbindRemoteStream ends that.
func (r *receiving) UnbindRemoteStream(info *interceptor.StreamInfo) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.streams, info.SSRC)
}

// repairs says that the packets of stream rtx are those of another, sent again (RFC 4588).
// It is false if there are no such streams.
func (r *receiving) repairs(rtx, ssrc uint32) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	from, to := r.streams[rtx], r.streams[ssrc]
	if from == nil || to == nil || !from.repair || to.repair {
		return false
	}
	from.repaired = to
	return true
}

// came notes a packet of a stream; true if it repaired another stream, to which it was given.
func (r *receiving) came(s *received, pkt []byte, now time.Time) bool {
	h, ok := codec.ParseHeader(pkt)
	if !ok {
		return false
	}
	r.mu.Lock()
	to := r.noteLocked(s, pkt, h, now)
	r.mu.Unlock()
	return to != nil && r.repair(to, pkt, h, now)
}

// direct gives a packet of m's stream to who takes it at once, if there is somebody and
// nothing waits that came before.
func (r *receiving) direct(m *media, pkt []byte, now time.Time) bool {
	h, ok := codec.ParseHeader(pkt)
	if !ok {
		return false
	}
	r.mu.Lock()
	s, sink := r.streams[m.ssrc], m.ready()
	if s == nil || sink == nil && s.repaired == nil {
		r.mu.Unlock()
		return false
	}
	to := r.noteLocked(s, pkt, h, now)
	r.mu.Unlock()
	if sink != nil {
		sink(pkt, now)
		return true
	}
	return to != nil && r.repair(to, pkt, h, now)
}

// noteLocked notes a packet. It returns the stream that it repairs, if any.
func (r *receiving) noteLocked(s *received, pkt []byte, h codec.Header, now time.Time) *received {
	if ext := codec.HeaderExtension(pkt, s.twcc); s.twcc != 0 && len(ext) >= 2 {
		r.arrivals.Record(s.ssrc, binary.BigEndian.Uint16(ext), now.Sub(r.began).Microseconds())
		r.untold += len(pkt)
	}
	if !s.repair {
		s.count(h.SequenceNumber, h.Timestamp, h.PayloadType, now)
		r.fresh = true
		return nil
	}
	if s.repaired != nil && s.repaired.begun {
		return s.repaired
	}
	return nil
}

// repair puts a packet that was sent again among those of stream s. false: that was not
// possible.
func (r *receiving) repair(s *received, pkt []byte, h codec.Header, now time.Time) bool {
	stream, _ := r.bufs.in.streams.Load(s.ssrc)
	m, ok := stream.(*media)
	if !ok {
		return false
	}
	if h.PayloadEnd-h.PayloadStart < 2 {
		return true // padding only
	}
	sink := m.ready()
	r.mu.Lock()
	pkt[1] = pkt[1]&0x80 | s.pt
	if sink == nil {
		s.again++ // it will be noted when it is read
	}
	r.mu.Unlock()
	copy(pkt[2:4], pkt[h.PayloadStart:])
	binary.BigEndian.PutUint32(pkt[8:], m.ssrc)
	n := copy(pkt[h.PayloadStart:], pkt[h.PayloadStart+2:])
	pkt = pkt[:h.PayloadStart+n]
	if sink != nil {
		sink(pkt, now)
		return true
	}
	return m.put(pkt) == nil
}

// reported looks for sender reports in a compound packet, which begins with one if there
// is one (RFC 3550 section 6.1).
func (r *receiving) reported(b []byte, now time.Time) {
	const senderInfo = 28 // bytes, with the header
	if len(b) < senderInfo || rtcp.PacketType(b[1]) != rtcp.TypeSenderReport {
		return
	}
	ntp, rtp := binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint32(b[16:])
	r.mu.Lock()
	s := r.streams[binary.BigEndian.Uint32(b[4:])]
	var told func(uint64, uint32, time.Time)
	if s != nil {
		s.reportNTP, s.reportRTP, s.reportOn = ntp, rtp, now
		told = s.told
	}
	r.mu.Unlock()
	if told != nil {
		told(ntp, rtp, now)
	}
}

// tellReports has fn called for the last sender report of a stream, if there was one, and those
// to come.
func (r *receiving) tellReports(ssrc uint32, fn func(ntp uint64, rtp uint32, at time.Time)) {
	r.mu.Lock()
	s := r.streams[ssrc]
	if s == nil {
		r.mu.Unlock()
		return
	}
	s.told = fn
	ntp, rtp, on := s.reportNTP, s.reportRTP, s.reportOn
	r.mu.Unlock()
	if !on.IsZero() {
		fn(ntp, rtp, on)
	}
}

// Close ends it.
func (r *receiving) Close() error {
	r.mu.Lock()
	begun := r.ssrc != 0
	r.closed = true
	r.mu.Unlock()
	if begun {
		r.reporter.remove(r)
	}
	return nil
}

// tell sends what is due.
func (r *receiving) tell(now time.Time) {
	r.mu.Lock()
	pkts := r.dueLocked(now)
	r.mu.Unlock()
	if len(pkts) > 0 {
		r.write(pkts)
	}
}

// write sends to the publisher.
func (r *receiving) write(pkts []rtcp.Packet) {
	r.mu.Lock()
	w, closed := r.writer, r.closed
	r.mu.Unlock()
	if closed || w == nil {
		return
	}
	if _, err := w.Write(pkts, nil); err != nil {
		r.log.Debug("reports to a publisher", "err", err)
	}
}

func (r *receiving) dueLocked(now time.Time) (pkts []rtcp.Packet) {
	if r.closed {
		return nil
	}
	if r.fresh && !now.Before(r.reportAt) {
		r.fresh, r.reportAt = false, now.Add(reportEvery)
		if report := r.reportLocked(now); report != nil {
			pkts = append(pkts, report)
		}
	}
	if r.untold > 0 && !now.Before(r.feedbackAt) {
		pkts = append(pkts, r.arrivals.BuildFeedbackPacket()...)
		r.feedbackAt = now.Add(feedbackIn(r.untold, now.Sub(r.feedbackOn)))
		r.untold, r.feedbackOn = 0, now
	}
	return pkts
}

// feedbackIn is how long to wait with the next feedback, if so many bytes came in a time.
func feedbackIn(size int, during time.Duration) time.Duration {
	next := feedbackShare * feedbackSize * min(during, time.Second) / time.Duration(size)
	return min(max(next, leastFeedback), mostFeedback)
}

// reportLocked reports of the streams of which anything came since the last report.
func (r *receiving) reportLocked(now time.Time) rtcp.Packet {
	report := &rtcp.ReceiverReport{SSRC: r.ssrc}
	for s := range maps.Values(r.streams) {
		if s.fresh && len(report.Reports) < maxReports {
			report.Reports = append(report.Reports, s.report(now))
		}
	}
	if len(report.Reports) == 0 {
		return nil
	}
	return report
}
