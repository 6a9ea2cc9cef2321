package light

import (
	"sync"
	"time"

	"diemcau/loadtest/trace"
)

// Opus as Chromium sends it: 20 ms of speech in a packet, and every 400 ms one that
// says there is silence (DTX).
const (
	voiceTicks  = clockAudio / 50
	quietTicks  = clockAudio * 4 / 10
	voiceBytes  = 80 // 32 kbit/s
	speakLevel  = 20
	silentLevel = 127 // RFC 6464
)

// Voice is the Source of a sound track: a voice while it speaks, else silence.
type Voice struct {
	mu       sync.Mutex // guards all below
	speaking bool
	begun    time.Time // when the first packet was made since it began to speak
	sample   trace.Sample
	payload  []byte
}

// NewVoice makes one that speaks or not.
func NewVoice(speaking bool) *Voice {
	v := &Voice{speaking: speaking, payload: make([]byte, voiceBytes)}
	// A mono 20 ms CELT frame (RFC 6716 section 3.1: configuration 31, code 0) with
	// anything for the range coder.
	v.payload[0] = 31 << 3
	return v
}

// Speak begins and ends speech.
func (v *Voice) Speak(on bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.speaking, v.begun = on, time.Time{}
}

// Begun is when the first packet was made since it began to speak; zero: none was yet.
func (v *Voice) Begun() time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.begun
}

func (v *Voice) level() uint8 {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.speaking {
		return speakLevel
	}
	return silentLevel
}

// silence is what libopus says with DTX: configuration 31, one frame of nothing.
var silence = []byte{31 << 3}

// Next implements Source. Ticks are those of 48 kHz.
func (v *Voice) Next() *trace.Sample {
	v.mu.Lock()
	defer v.mu.Unlock()
	s := &v.sample
	s.Heads, s.Offsets, s.Key = append(s.Heads[:0], 1), append(s.Offsets[:0], 0), true
	if !v.speaking {
		s.Payloads, s.Ticks = append(s.Payloads[:0], silence), quietTicks
		return s
	}
	if v.begun.IsZero() {
		v.begun = time.Now()
	}
	s.Payloads, s.Ticks = append(s.Payloads[:0], v.payload), voiceTicks
	return s
}

// RequestKeyFrame implements Source: sound has none.
func (*Voice) RequestKeyFrame() {}
