package uptrack

import (
	"math/bits"
	"sync/atomic"
	"time"
)

const (
	onsetOf  = 0b111                  // the last packets that decide whether somebody speaks;
	onsetMin = 2                      // so many of them must be loud
	voiceEnd = 500 * time.Millisecond // of quiet, or of nothing, end an utterance
	steps    = 256                    // of the smoothed level, per dB
)

// voice follows a stream's level closely enough to let the stream through before
// the first syllable is over. add is called by the stream's reader alone.
type voice struct {
	recent   uint8 // one bit per packet, 1: loud
	speaking bool
	newest   time.Time // packet

	level    atomic.Int32 // smoothed, steps above -127 dBov
	lastLoud atomic.Int64 // unix nanoseconds
	onset    atomic.Int64 // of the utterance under way, or the last; unix nanoseconds
}

// add takes a packet's level in -dBov (RFC 6464); onset tells that an utterance
// begins.
func (v *voice) add(dBov uint8, now time.Time) (onset bool) {
	if now.Sub(v.newest) > voiceEnd {
		v.recent, v.speaking = 0, false // it sent nothing: what was before is over
	}
	v.newest = now
	level, smooth := int32(127-min(dBov, 127))*steps, v.level.Load()
	if level > smooth {
		smooth += (level - smooth) / 4
	} else {
		smooth += (level - smooth) / 32
	}
	v.level.Store(smooth)
	v.recent <<= 1
	if dBov <= loudDBov {
		v.recent |= 1
	}
	if bits.OnesCount8(v.recent&onsetOf) >= onsetMin {
		v.lastLoud.Store(now.UnixNano())
		if onset = !v.speaking; onset {
			v.onset.Store(now.UnixNano())
			v.level.Store(max(smooth, level)) // it counts as loud as it is at once
		}
		v.speaking = true
	} else if v.speaking && now.UnixNano()-v.lastLoud.Load() > int64(voiceEnd) {
		v.speaking = false
	}
	return onset
}

// Voice tells how loud an audio stream is, smoothed over about a tenth of a
// second, in dB above -127 dBov, and when it was last heard to speak (zero:
// never).
func (l *Layer) Voice() (level float64, last time.Time) {
	if at := l.voice.lastLoud.Load(); at != 0 {
		last = time.Unix(0, at)
	}
	return float64(l.voice.level.Load()) / steps, last
}

// Onset tells how long ago the utterance under way was noticed; false if that is
// more than most.
func (l *Layer) Onset(now time.Time, most time.Duration) (ago time.Duration, ok bool) {
	ago = time.Duration(now.UnixNano() - l.voice.onset.Load())
	return max(ago, 0), ago <= most
}
