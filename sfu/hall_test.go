package sfu

import (
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"diemcau/sfu/downtrack"
	"diemcau/sfu/fanout"
	"diemcau/sfu/uptrack"
)

const levelID = 1

// voice is a microphone without a client: a published track whose packets a test
// makes. Each carries a number of its own, and whose it is.
type voice struct {
	id      uint16
	t       *publication
	level   atomic.Uint32 // -dBov
	loud    atomic.Uint32 // number of the first packet of the utterance
	packets chan []byte
	seq     uint16
}

func (v *voice) Read(b []byte) (int, interceptor.Attributes, error) {
	p, ok := <-v.packets
	if !ok {
		return 0, nil, io.EOF
	}
	return copy(b, p), nil, nil
}

func newVoice(r *Room, p *participant, pool *fanout.Pool, id int) *voice {
	v := &voice{id: uint16(id), packets: make(chan []byte)}
	v.level.Store(127)
	v.t = &publication{
		p: p, info: &livekit.TrackInfo{Sid: fmt.Sprintf("TR_voice%03d", id), Type: livekit.TrackType_AUDIO},
		encodings:   []*encoding{newEncoding(livekit.TrackType_AUDIO, "opus", nil, "")},
		subscribers: make(map[*participant]*subscription),
	}
	v.t.encoding = v.t.encodings[0]
	v.t.layers[downtrack.MaxLayers-1] = uptrack.Start(uptrack.Config{
		Mime: "audio/opus", ClockRate: 48000, LevelID: levelID, Stream: v, Log: slog.New(slog.DiscardHandler),
		WriteRTCP: func([]rtcp.Packet) error { return nil }, Ended: func() {}, Onset: p.onset,
	}, pool)
	p.published[v.t.info.Sid], r.tracks[v.t.info.Sid] = v.t, v.t
	return v
}

// say sends one packet of 20 ms.
func (v *voice) say() {
	v.seq++
	p := &rtp.Packet{
		Header:  rtp.Header{Version: 2, SequenceNumber: v.seq, Timestamp: uint32(v.seq) * 960},
		Payload: binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16([]byte{0xf8}, v.id), v.seq),
	}
	level := uint8(v.level.Load())
	_ = p.SetExtension(levelID, []byte{level})
	raw, _ := p.Marshal()
	if level > 40 {
		v.loud.Store(0)
	} else {
		v.loud.CompareAndSwap(0, uint32(v.seq))
	}
	v.packets <- raw
}

func (v *voice) close() {
	close(v.packets)
}

// hall is a room of voices whom one client hears.
type hall struct {
	t      *testing.T
	n      *Node
	host   *testClient
	voices []*voice
	places int
	room   string // of the listeners

	mu        sync.Mutex
	listeners []*testClient
}

// newHall makes voices that all send, silent at first. They speak as fast as the node
// listens, which bounds by time what it sends late of a voice: how busy the machine is
// changes nothing.
func newHall(t *testing.T, voices int) *hall {
	h := &hall{t: t, n: newTestNode(t), room: "room"}
	h.host = connect(t, h.n, h.room, "host", false)
	h.host.inRoom(func(r *Room, p *participant) {
		for i := range voices {
			h.voices = append(h.voices, newVoice(r, p, h.n.fan, i))
		}
		h.places = r.places()
		r.updateLoudest() // as it would a little later: the first of them are forwarded
	})
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				for _, v := range h.voices {
					v.say()
				}
				h.settle()
			case <-done:
				return
			}
		}
	})
	t.Cleanup(func() {
		close(done)
		wg.Wait()
		for _, v := range h.voices {
			v.close()
		}
	})
	return h
}

// settle waits until what was said has been dealt with: by its readers, by the rooms, and
// by the workers of those who listen.
func (h *hall) settle() {
	for _, v := range h.voices {
		v.packets <- nil // no packet, and taken only after the one before was dealt with
	}
	wait := func(c *testClient) {
		done := make(chan *fanout.Worker, 1)
		if !c.s.room.post(func() { done <- c.s.p.line.Worker() }) {
			return
		}
		w, idle := <-done, make(chan bool)
		for w.Do(func() { idle <- w.Idle() }) && !<-idle {
			time.Sleep(time.Millisecond / 10) // it may wait for the rest of a frame
		}
	}
	wait(h.host)
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.listeners {
		wait(c)
	}
}

// call has one voice speak; the last falls silent.
func (h *hall) call(i int) *voice {
	for _, v := range h.voices {
		v.level.Store(127)
	}
	h.voices[i].level.Store(20)
	return h.voices[i]
}

// heard finds the packets of v that c received, by the track they were sent as.
func (c *testClient) heard(v *voice) map[string][]uint16 {
	found := make(map[string][]uint16)
	for sid, packets := range c.media {
		for _, p := range packets {
			if len(p.Payload) == 5 && binary.BigEndian.Uint16(p.Payload[1:]) == v.id {
				found[sid] = append(found[sid], binary.BigEndian.Uint16(p.Payload[3:]))
			}
		}
	}
	return found
}

// hearing is what c received of an utterance, by packet numbers.
type hearing struct {
	own     int // packets in the voice's own stream
	missing []uint16
	twice   []uint16
}

// whole tells whether nothing is missing up to the newest packet, and the voice's own
// stream flows.
func (g hearing) whole() bool { return g.own > 5 && len(g.missing) == 0 }

// hearing looks at what v says since it began to speak.
func (c *testClient) hearing(v *voice) (g hearing) {
	first := uint16(v.loud.Load())
	if first == 0 {
		return g
	}
	times := make(map[uint16]int)
	last := first
	for sid, numbers := range c.heard(v) {
		for _, n := range numbers {
			if n < first {
				continue
			}
			if times[n]++; times[n] == 2 {
				g.twice = append(g.twice, n)
			}
			if last = max(last, n); sid == v.t.info.Sid {
				g.own++
			}
		}
	}
	for n := first; n < last; n++ {
		if times[n] == 0 {
			g.missing = append(g.missing, n)
		}
	}
	return g
}

func (h *hall) listener(name string, single bool) *testClient {
	c := connect(h.t, h.n, h.room, name, single)
	c.participantSeen(name, state(livekit.ParticipantInfo_ACTIVE))
	for {
		ready := 0
		c.inRoom(func(r *Room, p *participant) {
			p.settles = r.now()
			for _, s := range p.subs {
				if s.loan.negotiated {
					ready++
				}
			}
		})
		if ready == h.places {
			h.mu.Lock()
			h.listeners = append(h.listeners, c)
			h.mu.Unlock()
			return c
		}
		select {
		case <-h.t.Context().Done():
			h.t.Fatal("the first subscriptions are not negotiated")
		case <-time.After(20 * time.Millisecond):
		}
	}
}
