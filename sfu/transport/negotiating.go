package transport

import (
	"hash/maphash"
	"reflect"
	"runtime"
	"strings"
	"time"
	"unsafe"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
)

// When the floor goes round in a large room, everybody negotiates at once. So that media
// need not wait for that, few do at a time, and what is known is not looked into again.

// turns lets so many peers negotiate at the same time that a processor is left for media.
// Where there is one only, it rests now and then: the runtime looks at sockets when nothing
// else can run.
type turns chan *turn

// turn is the right to negotiate.
type turn struct {
	begun, ended time.Time
	worked       time.Duration // since the last rest
}

const (
	workFor = 4 * time.Millisecond
	restFor = time.Millisecond
)

func newTurns() turns {
	n := max(1, runtime.GOMAXPROCS(0)-1)
	t := make(turns, n)
	for range n {
		t <- &turn{}
	}
	return t
}

// take waits for a turn, which is to be given back.
func (t turns) take() *turn {
	one := <-t
	if one.begun = time.Now(); one.begun.Sub(one.ended) > restFor {
		one.worked = 0
	}
	return one
}

func (t turns) give(one *turn) {
	one.ended = time.Now()
	if one.worked += one.ended.Sub(one.begun); one.worked >= workFor {
		time.Sleep(restFor)
		one.worked = 0
	}
	t <- one
}

// formats remembers the lists of formats that a peer has offered. The media engine looks
// into the formats of every section of every description, each against each of its own, although
// in all but a few they are those of the section before. It can be told not to; then it
// looks into those of the first section of each kind only.
type formats struct {
	each *bool // of the engine: look into every section; nil: that cannot be told
	seen map[uint64]struct{}
}

const maxFormats = 64 // lists remembered

var formatsSeed = maphash.MakeSeed()

// newFormats begins with an engine that nothing was negotiated with. The engine must be
// used as it is, not copied.
func newFormats(m *webrtc.MediaEngine) formats {
	return formats{each: eachSection(m), seen: make(map[uint64]struct{})}
}

// failed says that the engine may not have looked into what it was given last.
func (f *formats) failed() {
	if f.each != nil {
		*f.each = true
	}
	f.each = nil // from now on always
}

// eachSection finds where the engine keeps whether it looks into every section.
func eachSection(m *webrtc.MediaEngine) *bool {
	f := reflect.ValueOf(m).Elem().FieldByName("negotiateMultiCodecs")
	if !f.IsValid() || f.Kind() != reflect.Bool {
		return nil // another version of the engine
	}
	return (*bool)(unsafe.Pointer(f.UnsafeAddr())) //nolint:gosec // G103: a bool that has no setter
}

// prepare is told of a description that the engine is about to be given.
func (f *formats) prepare(d *sdp.SessionDescription) {
	if f.each == nil {
		return
	}
	lists := make(map[uint64]struct{}, 4)
	kinds := make(map[string]struct{}, 2)
	for _, m := range d.MediaDescriptions {
		if kind := m.MediaName.Media; kind == "audio" || kind == "video" {
			kinds[kind] = struct{}{}
			lists[formatsOf(m)] = struct{}{}
		}
	}
	unseen := 0
	for list := range lists {
		if _, ok := f.seen[list]; !ok {
			unseen++
		}
	}
	first := len(f.seen) == 0
	*f.each = unseen > 0 && (!first || len(lists) > len(kinds))
	for list := range lists {
		if len(f.seen) < maxFormats {
			f.seen[list] = struct{}{}
		}
	}
}

// formatsOf tells lists of formats apart, in whatever order they are.
func formatsOf(m *sdp.MediaDescription) uint64 {
	sum := maphash.String(formatsSeed, m.MediaName.Media)
	for _, pt := range m.MediaName.Formats {
		sum += maphash.String(formatsSeed, pt)
	}
	for _, a := range m.Attributes {
		switch a.Key {
		case "rtpmap", "fmtp", "rtcp-fb":
			sum += maphash.String(formatsSeed, a.Value) * uint64(len(a.Key))
		}
	}
	return sum
}

// loosen has the sections that only we send in follow the engine's formats by themselves,
// where these are what the peer offered there: of each section with a list of its own the
// engine looks for every format among all of its own, in every description that is to come,
// which took more memory than all else that is negotiated.
func (t *Transport) loosen() {
	for _, tr := range t.pc.GetTransceivers() {
		if tr.Direction() != webrtc.RTPTransceiverDirectionSendonly || tr.Receiver() == nil || t.loose[tr] {
			continue
		}
		if t.loose == nil {
			t.loose = make(map[*webrtc.RTPTransceiver]bool)
		}
		t.loose[tr] = true
		offered := tr.Receiver().GetParameters().Codecs
		_ = tr.SetCodecPreferences(nil) // fails for formats only
		if sameFormats(offered, tr.Receiver().GetParameters().Codecs) {
			continue
		}
		if err := tr.SetCodecPreferences(offered); err != nil {
			t.log.Warn("formats of a section", "mid", tr.Mid(), "err", err)
		}
	}
}

// sameFormats tells whether two lists have the same formats, in whatever order.
func sameFormats(a, b []webrtc.RTPCodecParameters) bool {
	if len(a) != len(b) {
		return false
	}
	type format struct {
		pt         webrtc.PayloadType
		mime, fmtp string
	}
	of := make(map[format]bool, len(a))
	for _, c := range a {
		of[format{c.PayloadType, strings.ToLower(c.MimeType), c.SDPFmtpLine}] = true
	}
	for _, c := range b {
		if !of[format{c.PayloadType, strings.ToLower(c.MimeType), c.SDPFmtpLine}] {
			return false
		}
	}
	return true
}
