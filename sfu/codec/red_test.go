package codec

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseRED(t *testing.T) {
	payload := []byte{
		0x80 | 111, 0x1E, 0x00, 2, // offset 1920
		0x80 | 111, 0x0F, 0x00, 3, // offset 960
		111, 'a', 'a', 'b', 'b', 'b', 'c', 'c',
	}
	var blocks [MaxREDBlocks]REDBlock
	n, err := ParseRED(payload, &blocks)
	require.NoError(t, err)
	require.Equal(t, []REDBlock{
		{111, 1920, []byte("aa")}, {111, 960, []byte("bbb")}, {111, 0, []byte("cc")},
	}, blocks[:n])
	primary, err := PrimaryOfRED(payload)
	require.NoError(t, err)
	require.Equal(t, "cc", string(primary))
	for cut := range payload[:len(payload)-1] {
		_, err := PrimaryOfRED(payload[:cut])
		require.ErrorIs(t, err, ErrShort, "%d bytes", cut)
	}
	n, err = ParseRED([]byte{0xEF, 0xFF, 0xFF, 0xFF, 111, 1}, &blocks)
	require.ErrorIs(t, err, ErrShort, "a block of 1023 bytes")
	require.Zero(t, n)
	many := append(bytes.Repeat([]byte{0xEF, 0, 0, 0}, 5), 111, 1)
	_, err = ParseRED(many, &blocks)
	require.ErrorIs(t, err, ErrRED)
	_, err = ParseRED(many[4:], &blocks)
	require.NoError(t, err, "four redundant blocks")

	require.True(t, SetREDPayloadType(payload, 96))
	require.Equal(t, []byte{0x80 | 96, 0x1E, 0, 2, 0x80 | 96, 0x0F, 0, 3, 96, 'a'}, payload[:10])
	require.False(t, SetREDPayloadType(payload[:3], 96))
}

// TestREDCapture loses packets of Chromium's stream: each single loss comes back
// as it was, and of two in a row the second, for Chromium sends one before.
func TestREDCapture(t *testing.T) {
	packets := readCapture(t, "red")
	var r REDRecovery
	lost := map[uint16][]byte{}
	got := 0
	for i, p := range packets {
		primary, err := PrimaryOfRED(p.payload)
		require.NoError(t, err)
		if i > 3 && (i%10 == 0 || i%20 == 1) && i < len(packets)-1 {
			lost[p.seq] = primary
			continue
		}
		fresh := r.Recover(p.seq, p.ts, p.payload, func(seq uint16, ts uint32, opus []byte) {
			require.Equal(t, lost[seq], opus)
			require.Equal(t, p.ts-960, ts)
			delete(lost, seq)
			got++
		})
		require.True(t, fresh)
	}
	require.Positive(t, got)
	for seq := range lost {
		require.NotContains(t, lost, seq+1, "only the first of two in a row stays lost")
	}
	require.Len(t, lost, 5)
}

type opusPacket struct {
	seq  uint16
	ts   uint32
	data []byte
}

// opusStream is packets of a stream with pauses as of DTX, where the sequence
// numbers go on and the timestamps jump.
func opusStream(rng *rand.Rand, n int) []opusPacket {
	seq, ts := uint16(rng.Uint32()), rng.Uint32()
	var out []opusPacket
	for range n {
		data := make([]byte, 1+rng.IntN(200))
		for i := range data {
			data[i] = byte(rng.Uint32())
		}
		out = append(out, opusPacket{seq, ts, data})
		seq++
		ts += 960
		if rng.IntN(30) == 0 {
			ts += 960 * uint32(rng.IntN(30))
		}
	}
	return out
}

// TestREDRoundTrip encodes with all redundancies, loses, delays and repeats
// packets: what is recovered is what was lost, once.
func TestREDRoundTrip(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 3))
		redundancy := 1 + int(seed%3)
		e := NewREDEncoder(111, redundancy)
		stream := opusStream(rng, 300)
		type red struct {
			opusPacket
			payload []byte
		}
		var sent []red
		original := map[uint16]opusPacket{}
		for i, p := range stream {
			buf := make([]byte, 1500)
			n := e.Encode(buf, p.seq, p.ts, p.data)
			require.LessOrEqual(t, n, maxREDPayload)
			var blocks [MaxREDBlocks]REDBlock
			count, err := ParseRED(buf[:n], &blocks)
			require.NoError(t, err)
			require.Equal(t, p.data, blocks[count-1].Data)
			for k := range count - 1 {
				from := stream[i-(count-1-k)]
				require.Equal(t, from.data, blocks[k].Data)
				require.Equal(t, p.ts-from.ts, uint32(blocks[k].Offset))
			}
			if i > redundancy && p.ts-stream[i-redundancy].ts < maxREDOffset {
				require.Equal(t, redundancy+1, count)
			}
			original[p.seq] = p
			if i == 0 || rng.IntN(6) != 0 {
				sent = append(sent, red{p, buf[:n]})
			}
		}
		for i := 1; i < len(sent)-1; i++ {
			if rng.IntN(20) == 0 {
				sent[i], sent[i+1] = sent[i+1], sent[i]
			} else if rng.IntN(20) == 0 {
				sent[i+1] = sent[i] // one repeated, one lost
			}
		}
		var r REDRecovery
		seen := map[uint16]bool{}
		recovered := 0
		for _, p := range sent {
			require.Equal(t, !seen[p.seq], r.Recover(p.seq, p.ts, p.payload, func(seq uint16, ts uint32, opus []byte) {
				require.Equal(t, original[seq], opusPacket{seq, ts, opus})
				require.False(t, seen[seq], "twice")
				require.NotEqual(t, p.seq, seq)
				seen[seq] = true
				recovered++
			}))
			seen[p.seq] = true
		}
		require.Greater(t, recovered, 20)
	}
}

func TestREDEncoderLimits(t *testing.T) {
	buf := make([]byte, 1500)
	encode := func(e *REDEncoder, seq uint16, ts uint32, size int) int {
		n := e.Encode(buf, seq, ts, make([]byte, size))
		var blocks [MaxREDBlocks]REDBlock
		count, err := ParseRED(buf[:n], &blocks)
		require.NoError(t, err)
		require.Len(t, blocks[count-1].Data, size)
		return count - 1
	}
	e := NewREDEncoder(111, 3)
	require.Equal(t, 0, encode(e, 10, 960, 50))
	require.Equal(t, 1, encode(e, 11, 1920, 50))
	require.Equal(t, 0, encode(e, 13, 3840, 50), "12 is missing")
	require.Equal(t, 2, encode(e, 12, 2880, 50), "late")
	require.Equal(t, 3, encode(e, 14, 4800, 50))
	require.Equal(t, 0, encode(e, 15, 4800+1<<14, 50), "too long before")
	require.Equal(t, 1, encode(e, 16, 4800+1<<14+960, 1030))
	require.Equal(t, 0, encode(e, 17, 4800+1<<14+1920, 50), "no block has 1030 bytes")
	require.Equal(t, 1, encode(e, 18, 4800+1<<14+2880, 1000))
	require.Equal(t, 0, encode(e, 19, 4800+1<<14+3840, 500), "1504 bytes")
	require.Equal(t, 0, encode(e, 20, 4800, 50), "time went back")
	require.Zero(t, e.Encode(buf, 21, 5760, nil))
	require.Zero(t, e.Encode(buf[:50], 21, 5760, make([]byte, 50)))
}

func FuzzRED(f *testing.F) {
	f.Add([]byte{0xEF, 0x0F, 0, 2, 111, 1, 2, 3}, uint16(5), uint32(960))
	f.Add([]byte{111, 1}, uint16(0), uint32(0))
	f.Add(append(bytes.Repeat([]byte{0xEF, 0, 4, 0}, 4), 111, 1), uint16(65535), uint32(1))
	f.Fuzz(func(t *testing.T, payload []byte, seq uint16, ts uint32) {
		var blocks [MaxREDBlocks]REDBlock
		n, err := ParseRED(payload, &blocks)
		if err == nil {
			size := 4*(n-1) + 1
			for _, b := range blocks[:n] {
				size += len(b.Data)
			}
			if size != len(payload) {
				t.Fatalf("%d bytes of %d", size, len(payload))
			}
			changed := bytes.Clone(payload)
			if !SetREDPayloadType(changed, 99) || changed[0]&0x7F != 99 {
				t.Fatal("payload type not set")
			}
		}
		var r REDRecovery
		r.Recover(seq-3, ts-2880, []byte{111, 1}, nil)
		seen := map[uint16]bool{seq - 3: true, seq: true}
		r.Recover(seq, ts, payload, func(s uint16, at uint32, data []byte) {
			if seen[s] || int16(s-(seq-3)) <= 0 || int16(seq-s) <= 0 || len(data) == 0 {
				t.Fatalf("emitted %d of %d", s, seq)
			}
			if int32(at-(ts-2880)) <= 0 || int32(ts-at) <= 0 {
				t.Fatalf("at %d of %d", at, ts)
			}
			seen[s] = true
		})
	})
}

func BenchmarkREDEncode(b *testing.B) {
	e := NewREDEncoder(111, 2)
	buf, payload := make([]byte, 1500), make([]byte, 80)
	b.ReportAllocs()
	for i := range b.N {
		if e.Encode(buf, uint16(i), uint32(i)*960, payload) == 0 {
			b.Fatal("nothing")
		}
	}
}

// BenchmarkREDRecover loses every other packet.
func BenchmarkREDRecover(b *testing.B) {
	payload := append([]byte{0xEF, 0x0F, 0, 80, 111}, make([]byte, 160)...)
	var r REDRecovery
	r.Recover(0, 0, payload, nil)
	r.Recover(1, 960, payload, nil)
	n := 0
	emit := func(uint16, uint32, []byte) { n++ }
	b.ReportAllocs()
	for i := range b.N {
		r.Recover(uint16(2*i+3), uint32(2*i+3)*960, payload, emit)
	}
	if n != b.N {
		b.Fatalf("%d of %d", n, b.N)
	}
}
