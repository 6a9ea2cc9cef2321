package trace

import (
	"bytes"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/pion/rtp/codecs"
	"github.com/stretchr/testify/require"
)

// described is what a receiver reads in the descriptors of one frame.
type described struct {
	hasPicture, hasTL0 bool
	picture            uint16
	tl0                uint8
	tid                uint8
	key                bool
	bits               int // of the picture id
}

// describe reads all payloads of a frame with Pion's parsers, and checks that they
// belong together.
func describe(t *testing.T, codec Codec, s *Sample) described {
	t.Helper()
	switch codec {
	case VP8:
		return describeVP8(t, s)
	case VP9:
		return describeVP9(t, s)
	}
	var units []byte // types
	parser := codecs.H264Packet{}
	for _, payload := range s.Payloads {
		unit, err := parser.Unmarshal(payload)
		require.NoError(t, err)
		for _, part := range bytes.Split(unit, []byte{0, 0, 0, 1})[1:] {
			units = append(units, part[0]&0x1F)
			if payload[0]&0x1F != nalSTAPA {
				break // what looks like a start code is filler
			}
		}
	}
	require.NotEmpty(t, units)
	key := bytes.IndexByte(units, nalIDR) >= 0
	require.Equal(t, key, bytes.IndexByte(units, nalSPS) >= 0, "parameter sets come with key frames: %v", units)
	return described{key: key}
}

func describeVP8(t *testing.T, s *Sample) described {
	var d described
	for i, payload := range s.Payloads {
		var p codecs.VP8Packet
		body, err := p.Unmarshal(payload)
		require.NoError(t, err)
		require.NotEmpty(t, body)
		require.Equal(t, i == 0, p.IsPartitionHead(payload))
		now := described{
			hasPicture: p.I == 1, hasTL0: p.L == 1, picture: p.PictureID, tl0: p.TL0PICIDX, tid: p.TID, bits: 7, key: d.key,
		}
		if payload[2]&0x80 != 0 {
			now.bits = 15
		}
		if i == 0 {
			now.key = body[0]&1 == 0
			d = now
		}
		require.Equal(t, d, now)
	}
	return d
}

func describeVP9(t *testing.T, s *Sample) described {
	var d described
	spatial, open := -1, false
	for i, payload := range s.Payloads {
		var p codecs.VP9Packet
		body, err := p.Unmarshal(payload)
		require.NoError(t, err)
		require.NotEmpty(t, body)
		require.NotEqual(t, open, p.B, "a frame begins where the one before has ended")
		open = !p.E
		if p.B {
			require.Equal(t, spatial+1, int(p.SID))
			spatial = int(p.SID)
		}
		require.Equal(t, spatial, int(p.SID))
		now := described{
			hasPicture: p.I, hasTL0: p.L && !p.F, picture: p.PictureID, tl0: p.TL0PICIDX, tid: p.TID, bits: 7, key: d.key,
		}
		if payload[1]&0x80 != 0 {
			now.bits = 15
		}
		if i == 0 {
			now.key = !p.P
			require.Equal(t, now.key, p.V, "key frames bring the structure")
			d = now
		}
		require.Equal(t, d, now)
	}
	require.False(t, open)
	return d
}

// TestNumbersGoOnOverLoopsAndJumps, in all three shapes of a layer.
func TestNumbersGoOnOverLoopsAndJumps(t *testing.T) {
	everyTrace(t, func(t *testing.T, tr *Trace) {
		for _, recorded := range tr.Layers {
			for _, l := range []*Layer{recorded, recorded.Even(), recorded.Scaled(60_000)} {
				numbersGoOn(t, l)
			}
		}
	})
}

func numbersGoOn(t *testing.T, l *Layer) {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	p := l.Player(1)
	var last described
	asked, jumps := true, 0 // it begins with a key frame
	for n := range 4 * len(l.Frames) {
		s := p.Next()
		checkShape(t, l, s)
		d := describe(t, l.Codec, s)
		require.Equal(t, s.Key, d.key)
		if asked {
			require.True(t, s.Key, "a key frame was asked for")
		}
		if n > 0 && d.hasPicture {
			require.Equal(t, last.bits, d.bits)
			require.Equal(t, (last.picture+1)&(1<<d.bits-1), d.picture, "frame %d", n)
		}
		if n > 0 && d.hasTL0 {
			want := last.tl0
			if d.tid == 0 {
				want++
			}
			require.Equal(t, want, d.tl0, "frame %d", n)
		}
		last = d
		if asked = random.IntN(100) == 0; asked {
			p.RequestKeyFrame()
			jumps++
		}
	}
	require.Positive(t, jumps)
}

// TestPictureIDsWrap, of 15 bits and of 7, over and over.
func TestPictureIDsWrap(t *testing.T) {
	for _, codec := range []Codec{VP8, VP9} {
		for _, long := range []bool{true, false} {
			l := madeUp(t, codec, long).Layers[0]
			first := &l.Frames[0].Packets[0]
			last, mask := first.pictureID()
			tl0 := first.Head[first.at.tl0]
			p := l.Player(0)
			for n := range 1 << 17 {
				s := p.Next()
				now := Packet{Size: len(s.Payloads[0]), Head: s.Payloads[0][:s.Heads[0]]}
				var err error
				now.at, err = inspect(codec, now.Head, now.Size)
				require.NoError(t, err)
				if now.at.base && n > 0 {
					tl0++
				}
				id, _ := now.pictureID()
				if id != last || now.Head[now.at.tl0] != tl0 {
					t.Fatalf("%s, frame %d: picture %d, want %d; TL0PICIDX %d, want %d",
						codec.MimeType(), n, id, last, now.Head[now.at.tl0], tl0)
				}
				last = (id + 1) & mask
			}
		}
	}
}

func TestPlayerPlaysTheRecording(t *testing.T) {
	everyTrace(t, func(t *testing.T, tr *Trace) {
		for _, l := range tr.Layers {
			p := l.Player(0)
			for range 2 {
				for _, f := range l.Frames {
					s := p.Next()
					require.Equal(t, f.Key, s.Key)
					require.Equal(t, f.Ticks, s.Ticks)
					require.Len(t, s.Payloads, len(f.Packets))
					for i, want := range f.Packets {
						require.Len(t, s.Payloads[i], want.Size)
						require.Equal(t, len(want.Head), s.Heads[i])
						require.Equal(t, want.Offset, s.Offsets[i])
						clear(s.Payloads[i]) // as the user may
					}
				}
			}
		}
	})
}

// TestPlayersBeginApart: each with another key frame.
func TestPlayersBeginApart(t *testing.T) {
	l := madeUp(t, VP8, true).Layers[0]
	n := l.KeyFrames()
	require.Equal(t, synthFrames/synthKeyEvery, n)
	seen := map[int]bool{}
	for start := range n {
		p := l.Player(start)
		require.True(t, p.Next().Key)
		seen[p.next] = true
	}
	require.Len(t, seen, n)
	require.Equal(t, l.Player(0).next, l.Player(n).next)
	require.Equal(t, l.Player(n-1).next, l.Player(-1).next)
}

func TestNextDoesNotAllocate(t *testing.T) {
	for _, codec := range []Codec{VP8, H264, VP9} {
		p := madeUp(t, codec, true).Layers[0].Player(0)
		require.Zero(t, testing.AllocsPerRun(500, func() {
			p.RequestKeyFrame()
			p.Next()
			p.Next()
		}))
	}
}

// TestKeyFramesAreAskedForFromElsewhere is for the race detector.
func TestKeyFramesAreAskedForFromElsewhere(t *testing.T) {
	p := madeUp(t, VP8, true).Layers[0].Player(0)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for range 1000 {
				p.RequestKeyFrame()
			}
		})
	}
	for range 1000 {
		p.Next()
	}
	wg.Wait()
	p.RequestKeyFrame()
	require.True(t, p.Next().Key)
	require.False(t, p.Next().Key)
}

func BenchmarkNext(b *testing.B) {
	for _, name := range Names() {
		b.Run(name, func(b *testing.B) {
			tr, err := Load(name)
			require.NoError(b, err)
			l := tr.Layers[len(tr.Layers)-1]
			p := l.Player(0)
			b.ReportAllocs()
			packets := 0
			for b.Loop() {
				packets += len(p.Next().Payloads)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(packets), "ns/packet")
		})
	}
}
