package transport

import (
	"bytes"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

// wire is a channel that brings messages of these sizes, in bytes, and then ends.
type wire struct {
	sizes   []int
	largest int // buffer that was offered
}

func (w *wire) ReadDataChannel(buf []byte) (int, bool, error) {
	w.largest = max(w.largest, len(buf))
	if len(w.sizes) == 0 {
		return 0, false, io.EOF
	}
	n := w.sizes[0]
	if n > len(buf) {
		return 0, false, io.ErrShortBuffer // the message may be read again
	}
	w.sizes = w.sizes[1:]
	for i := range buf[:n] {
		buf[i] = byte(n)
	}
	return n, false, nil
}

func TestChannelsReadWhatComesWithSmallBuffers(t *testing.T) {
	for name, c := range map[string]struct {
		sizes   []int
		largest int
		err     error
	}{
		"small":    {[]int{0, 1, 700, readBuffer}, readBuffer, io.EOF},
		"grows":    {[]int{readBuffer + 1, 3, 15_000, 64_000, 2}, 64 << 10, io.EOF},
		"longest":  {[]int{maxMessageSize, 1}, maxMessageSize, io.EOF},
		"too long": {[]int{5, maxMessageSize + 1, 5}, maxMessageSize, io.ErrShortBuffer},
	} {
		var got [][]byte
		tr := &Transport{ev: Events{Data: func(_ string, msg []byte) { got = append(got, msg) }}}
		tr.data.init(tr)
		w := &wire{sizes: c.sizes}
		require.ErrorIs(t, tr.data.read(Lossy, w), c.err, name)
		require.Equal(t, c.largest, w.largest, name)
		require.Len(t, got, len(c.sizes)-len(w.sizes), name)
		for i, msg := range got {
			require.Len(t, msg, c.sizes[i], name)
			want := bytes.Repeat([]byte{byte(c.sizes[i])}, c.sizes[i])
			require.True(t, bytes.Equal(want, msg), "%s: a message is not written over by the next", name)
		}
	}
}

func TestOperationsAreBoundedAndInOrder(t *testing.T) {
	var q operations
	var done []int
	for i := range maxOps {
		require.True(t, q.add(func() { done = append(done, i) }))
	}
	require.False(t, q.add(func() {}))
	for op := q.take(); op != nil; op = q.take() {
		op()
	}
	require.Len(t, done, maxOps)
	require.IsIncreasing(t, done)
	require.Nil(t, q.list, "an idle queue holds no memory")
	require.True(t, q.add(func() {}))
}
