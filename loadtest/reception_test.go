package loadtest

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4"
)

// maxRecorded bounds what a reception remembers; about two minutes of 720p.
const maxRecorded = 30_000

// recorded is one received packet.
type recorded struct {
	at        time.Time
	ext       int64 // extended sequence number
	timestamp uint32
	marker    bool
	size      int // of the payload
	// VP8 only (RFC 7741).
	pictureID     uint16
	hasPictureID  bool
	width, height int // of a key frame that starts here, else 0
}

// reception records a subscribed track.
type reception struct {
	track   *webrtc.TrackRemote
	pub     *lksdk.RemoteTrackPublication
	account Account

	mu      sync.Mutex
	packets []recorded // guarded by mu; in order of arrival, without duplicates
	ended   bool       // guarded by mu
}

func newReception(track *webrtc.TrackRemote, pub *lksdk.RemoteTrackPublication) *reception {
	return &reception{track: track, pub: pub}
}

// read records until the track ends.
func (r *reception) read() {
	for {
		p, _, err := r.track.ReadRTP()
		if err != nil {
			r.mu.Lock()
			r.ended = true
			r.mu.Unlock()
			return
		}
		r.add(p, time.Now())
	}
}

func (r *reception) add(p *rtp.Packet, now time.Time) {
	r.account.Add(&p.Header, len(p.Payload), now)
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.packets) == maxRecorded {
		return
	}
	e := recorded{at: now, timestamp: p.Timestamp, marker: p.Marker, size: len(p.Payload), ext: int64(p.SequenceNumber) + 1<<16}
	if n := len(r.packets); n > 0 {
		last := r.packets[n-1].ext
		e.ext = last + int64(int16(p.SequenceNumber-uint16(last)))
	}
	for i := len(r.packets) - 1; i >= max(0, len(r.packets)-1000); i-- {
		if r.packets[i].ext == e.ext {
			return
		}
	}
	if r.track.Codec().MimeType == webrtc.MimeTypeVP8 {
		e.readVP8(p.Payload)
	}
	r.packets = append(r.packets, e)
}

// readVP8 reads the payload descriptor and, of a key frame, the size.
func (e *recorded) readVP8(payload []byte) {
	var d codecs.VP8Packet
	frame, err := d.Unmarshal(payload)
	if err != nil || len(payload) == 0 {
		return
	}
	e.pictureID, e.hasPictureID = d.PictureID, d.I == 1
	if d.S == 1 && d.PID == 0 && len(frame) >= 10 && frame[0]&1 == 0 { // RFC 6386, 9.1
		e.width = int(frame[6]) | int(frame[7]&0x3f)<<8
		e.height = int(frame[8]) | int(frame[9]&0x3f)<<8
	}
}

// snapshot returns the packets so far in order of their numbers.
func (r *reception) snapshot() []recorded {
	r.mu.Lock()
	packets := slices.Clone(r.packets)
	r.mu.Unlock()
	slices.SortFunc(packets, func(a, b recorded) int { return cmp.Compare(a.ext, b.ext) })
	return packets
}

// newest returns the number of the packet that came last.
func (r *reception) newest() uint16 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return uint16(r.packets[len(r.packets)-1].ext)
}

// keyFrameSince returns the size of the newest key frame that arrived after t.
func (r *reception) keyFrameSince(t time.Time) (width, height int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := len(r.packets) - 1; i >= 0 && r.packets[i].at.After(t); i-- {
		if p := r.packets[i]; p.width != 0 {
			return p.width, p.height
		}
	}
	return 0, 0
}

// flows waits until n more packets came, at most 10 s.
func (r *reception) flows(t testing.TB, n uint64) {
	t.Helper()
	want := r.account.Stats().Packets + n
	until(t, 10*time.Second, func() bool { return r.account.Stats().Packets >= want },
		func() string { return fmt.Sprintf("%d packets of %s; have %+v", want, r.pub.SID(), r.account.Stats()) })
}

// whole waits until nothing is missing: what was lost on the way is asked for again
// and comes.
func (r *reception) whole(t testing.TB) {
	t.Helper()
	until(t, 10*time.Second, func() bool { return r.account.Stats().Lost == 0 },
		func() string { return fmt.Sprintf("all of %s; have %+v", r.pub.SID(), r.account.Stats()) })
}

// check returns what a decoder would complain about: holes in the sequence
// numbers, a timestamp that goes back or changes within a frame, a picture id
// that does not count frames.
func (r *reception) check() []string {
	return checkPackets(r.snapshot())
}

func checkPackets(packets []recorded) []string {
	var faults []string
	fault := func(i int, format string, args ...any) {
		faults = append(faults, fmt.Sprintf("packet %d (number %d): ", i, packets[i].ext&0xffff)+fmt.Sprintf(format, args...))
	}
	for i := 1; i < len(packets); i++ {
		prev, p := packets[i-1], packets[i]
		if p.ext != prev.ext+1 {
			fault(i, "follows number %d", prev.ext&0xffff)
		}
		step := int32(p.timestamp - prev.timestamp)
		if step < 0 {
			fault(i, "timestamp goes back by %d", -step)
		}
		if p.size == 0 || prev.size == 0 {
			continue // padding only
		}
		if step > 0 && !prev.marker && prev.hasPictureID {
			fault(i, "timestamp advances by %d within a frame", step)
		}
		if !p.hasPictureID || !prev.hasPictureID {
			continue
		}
		delta := (p.pictureID - prev.pictureID) & 0x7fff
		if step == 0 && delta != 0 {
			fault(i, "picture id %d after %d within a frame", p.pictureID, prev.pictureID)
		}
		if step > 0 && delta != 1 {
			fault(i, "picture id %d after %d", p.pictureID, prev.pictureID)
		}
	}
	return faults
}
