package codec

// Decision is what becomes of one packet.
type Decision struct {
	Forward bool
	Marker  bool // the RTP marker to send: last packet of the picture as forwarded
	Begins  bool // first packet after a pause, or of all: what mungers Switch at

	Layer Layer // forwarded at present; NoLayer if nothing is

	// Targets is the bit mask of the decode targets that can be decoded from
	// what is forwarded, which DDMunger tells the subscriber. 0 without descriptors.
	Targets uint32

	NeedKeyFrame bool // the layer asked for cannot be had without one
}

// patience is how many pictures a missing frame may come late before what
// depends on it is given up: 1 s at 30 pictures a second.
const patience = 30

// restartGap is how many frame numbers back a key frame must jump to be taken
// for a stream that starts again, not for one that comes late.
const restartGap = 4096

// SVC chooses what one subscriber gets of one scalable stream: of a stream with
// several spatial layers, or only temporal ones. Packets of a frame share one
// fate, and a frame is forwarded only if no frame it refers to was dropped.
//
// The spatial layer goes up at key frames. With dependency descriptors it goes
// down where the chain of the lower layer was forwarded whole, else at a key
// frame as well; so it is in the KEY modes, whose upper layers go on without the
// lower ones, which are dropped. Streams of VP9 without descriptors follow the
// same rules by the bits D, P, U and Z. The temporal layer goes down at once, and
// up as far as references were forwarded (or at U, where they are not told).
// Both change only where a picture begins.
//
// Frames that are missing count as on their way, so that a retransmission finds
// its place; they are given up after patience pictures. The zero value forwards
// nothing until SetTarget. It is not safe for concurrent use.
type SVC struct {
	target  Layer // as asked for
	asked   bool  // SetTarget was called
	current Layer // as forwarded
	begun   bool  // something is forwarded: current is a layer
	since   int64 // frame number the present run began with
	tell    bool  // the run's first packet is still to be forwarded

	seen      history
	timestamp uint32 // of the newest picture
	pictures  int64  // counted
	need      bool

	dd  chainTracker
	vp9 vp9Layers
}

// SetTarget asks for layers up to spatial and temporal, each from 0; one below 0
// pauses the stream at once.
func (s *SVC) SetTarget(spatial, temporal int) {
	s.asked = true
	s.target = NoLayer
	if spatial >= 0 && temporal >= 0 {
		s.target = Layer{int8(min(spatial, maxVP9SpatialLayers-1)), int8(min(temporal, maxTemporalLayers-1))}
	}
	if s.target == NoLayer {
		s.stop()
	}
}

// Target is the layer asked for; NoLayer if none is.
func (s *SVC) Target() Layer {
	if !s.asked {
		return NoLayer
	}
	return s.target
}

// Current is the layer forwarded; NoLayer if nothing is.
func (s *SVC) Current() Layer {
	if !s.begun {
		return NoLayer
	}
	return s.current
}

// NeedKeyFrame is as the latest Decision had it; true before the first one.
func (s *SVC) NeedKeyFrame() bool {
	return s.Target() != NoLayer && (s.need || !s.begun)
}

// Restart forgets the stream, for packets of another one are to come: those of
// another source. The target stays.
func (s *SVC) Restart() {
	*s = SVC{target: s.target, asked: s.asked}
}

// Select decides on a packet of frame f.
func (s *SVC) Select(f *Frame) Decision {
	if s.seen.empty() || f.Key && f.First && f.Number < s.seen.high-restartGap {
		s.seen.reset(f.Number - 1)
		s.timestamp = f.Timestamp - 1
		s.stop()
	}
	verdict := s.seen.get(f.Number)
	if verdict == unknown {
		if f.Descriptor != nil {
			verdict = s.decideDD(f)
		} else {
			verdict = s.decideVP9(f)
		}
		s.seen.put(f.Number, verdict)
	}
	d := Decision{
		Forward:      verdict == forwarded && s.begun && f.Number >= s.since,
		Layer:        s.Current(),
		NeedKeyFrame: s.NeedKeyFrame(),
	}
	if d.Forward {
		d.Begins, s.tell = s.tell, false
		d.Marker = f.Marker || f.Last && f.Spatial == s.current.Spatial
	}
	if s.begun && f.Descriptor != nil && f.Descriptor.Structure == s.dd.structure {
		d.Targets = s.decodable() & f.Descriptor.Active
	}
	return d
}

// stop ends what is forwarded; only a key frame begins it again.
func (s *SVC) stop() {
	s.begun = false
	s.need = true
	s.dd.stop()
	s.vp9 = vp9Layers{top: s.vp9.top}
}

// begin makes f the first frame forwarded.
func (s *SVC) begin(f *Frame) {
	if !s.begun {
		s.begun, s.since, s.tell = true, f.Number, true
	}
}

// newPicture tells whether f is the first frame seen of a picture.
func (s *SVC) newPicture(f *Frame) bool {
	if f.Timestamp == s.timestamp {
		return false
	}
	s.timestamp = f.Timestamp
	s.pictures++
	return true
}

// verdict is what became of a frame.
type verdict uint8

const (
	unknown verdict = iota // not seen
	forwarded
	dropped
)

// historySize is how many frame numbers back verdicts are remembered: as far as
// a chain can reach (8 bits, AV1 RTP specification section A.8.2).
const historySize = 256

// history is the verdicts on the newest frames.
type history struct {
	high    int64 // newest frame number put
	started bool
	verdict [historySize]verdict // of n at n modulo historySize
}

func (h *history) empty() bool { return !h.started }

// before tells whether n is too old to be remembered.
func (h *history) before(n int64) bool { return n <= h.high-historySize }

func (h *history) newest(n int64) bool { return n > h.high }

func (h *history) reset(high int64) { *h = history{high: high, started: true} }

// get returns the verdict on frame n: unknown beyond the newest, and dropped if
// it is forgotten.
func (h *history) get(n int64) verdict {
	switch {
	case n > h.high:
		return unknown
	case h.before(n):
		return dropped
	}
	return h.verdict[n&(historySize-1)]
}

func (h *history) put(n int64, v verdict) {
	if h.before(n) {
		return
	}
	if n-h.high >= historySize {
		h.verdict = [historySize]verdict{}
		h.high = n
	}
	for h.high < n {
		h.high++
		h.verdict[h.high&(historySize-1)] = unknown
	}
	h.verdict[n&(historySize-1)] = v
}

// lost tells whether a reference to frame n cannot be met. One that is
// forgotten is taken to have been forwarded: encoders keep some frames for long.
func (h *history) lost(n int64) bool {
	return !h.before(n) && h.get(n) == dropped
}
