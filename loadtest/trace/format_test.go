package trace

import (
	"bytes"
	"compress/gzip"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDecodeGivesWhatWasEncoded(t *testing.T) {
	everyTrace(t, func(t *testing.T, tr *Trace) {
		b, err := Encode(tr)
		require.NoError(t, err)
		got, err := Decode(b)
		require.NoError(t, err)
		require.Equal(t, tr, got)
	})
}

func TestDecodeRefuses(t *testing.T) {
	plain, err := encode(madeUp(t, VP8, true))
	require.NoError(t, err)
	_, err = decode(plain)
	require.NoError(t, err)
	for n := range plain {
		if n > 64 && n < len(plain)-64 && n%97 != 0 {
			continue
		}
		_, err := decode(plain[:n])
		require.ErrorIs(t, err, ErrFormat, "the first %d bytes", n)
	}
	_, err = decode(append(plain, 0))
	require.ErrorIs(t, err, ErrFormat)
	other := func(at int, b byte) []byte {
		changed := bytes.Clone(plain)
		changed[at] = b
		return changed
	}
	layer := 6 + 1 + len("made up") + 1 // quality, width, height, frames
	for name, b := range map[string][]byte{
		"version":        other(4, 2),
		"codec":          other(5, 9),
		"another codec":  other(5, byte(H264)),
		"no layers":      other(layer-1, 0),
		"two layers":     other(layer-1, 2),
		"width 0":        append(bytes.Clone(plain[:layer+1]), append([]byte{0}, plain[layer+3:]...)...),
		"a longer form":  append(bytes.Clone(plain[:6]), append([]byte{0x87, 0}, plain[7:]...)...),
		"frames":         other(layer+5, plain[layer+5]-1),
		"many frames":    append(bytes.Clone(plain[:layer+5]), 0xFF, 0x7F, 0xFF, 0x7F),
		"first not key":  bytes.Replace(plain, []byte{0xB8, 0x17, 1, 0, 0}, []byte{0xB8, 0x17, 0, 0, 0}, 1),
		"key without it": bytes.Replace(plain, []byte{0xB8, 0x17, 1, 0, 0}, []byte{0xB8, 0x17, 1, 1, 0}, 1),
		"no flag":        bytes.Replace(plain, []byte{0xB8, 0x17, 1, 0, 0}, []byte{0xB8, 0x17, 1, 2, 0}, 1),
	} {
		require.NotEqual(t, plain, b, name)
		_, err := decode(b)
		require.ErrorIs(t, err, ErrFormat, name)
	}
}

func zipped(t testing.TB, plain []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write(plain)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return b.Bytes()
}

func TestDecodeBoundsWhatItUnpacks(t *testing.T) {
	bomb := zipped(t, make([]byte, maxPlain+1))
	require.Less(t, len(bomb), 64<<10)
	good, err := Encode(madeUp(t, VP8, true))
	require.NoError(t, err)
	for name, b := range map[string][]byte{
		"nothing": nil, "not gzip": []byte("DTRC"), "bomb": bomb, "two members": append(good, good...), "cut off": good[:len(good)-4],
	} {
		_, err := Decode(b)
		require.ErrorIs(t, err, ErrFormat, name)
	}
}

func TestLoad(t *testing.T) {
	for _, name := range Names() {
		first, err := Load(name)
		require.NoError(t, err)
		second, err := Load(name)
		require.NoError(t, err)
		require.Same(t, first, second)
	}
	for _, name := range []string{"", "vp7", "../trace.go", "../data/vp8"} {
		_, err := Load(name)
		require.Error(t, err, name)
	}
}

func FuzzDecode(f *testing.F) {
	for _, codec := range []Codec{VP8, H264, VP9} {
		plain, err := encode(madeUp(f, codec, codec != VP9))
		require.NoError(f, err)
		f.Add(plain)
		f.Add(zipped(f, plain))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = Decode(b)
		tr, err := decode(b)
		if err != nil {
			require.ErrorIs(t, err, ErrFormat)
			return
		}
		again, err := encode(tr)
		require.NoError(t, err)
		require.Equal(t, b, again)
		for _, l := range tr.Layers {
			if len(l.Frames) > 130 {
				continue // nothing new
			}
			l.Figures()
			for _, l := range []*Layer{l, l.Even(), l.Scaled(50_000).Even()} {
				p := l.Player(1)
				for range len(l.Frames) + 1 {
					checkShape(t, l, p.Next())
				}
			}
		}
	})
}

// checkShape checks what holds of any sample.
func checkShape(t *testing.T, l *Layer, s *Sample) {
	require.NotEmpty(t, s.Payloads)
	require.Len(t, s.Heads, len(s.Payloads))
	require.Len(t, s.Offsets, len(s.Payloads))
	require.Positive(t, s.Ticks)
	for i, payload := range s.Payloads {
		require.LessOrEqual(t, s.Heads[i], len(payload))
		at, err := inspect(l.Codec, payload[:s.Heads[i]], len(payload))
		require.NoError(t, err)
		require.LessOrEqual(t, at.descriptor, s.Heads[i])
	}
}
