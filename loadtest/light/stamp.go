package light

import (
	"encoding/binary"
	"math/bits"
	"time"
)

// A publisher writes the time of sending into the last bytes of each payload. A server
// forwards those as they are, in whatever numbers and under whatever key; what padding it
// adds is told from them by the padding bit (RFC 3550 section 5.1). The packets of one
// program are told from all others by a number of its own.
const stampBytes = 16

var stampMagic = [4]byte{0xD7, 'L', 'T', 0x01}

// stamp writes it. The payload has stampBytes without a meaning at its end.
func stamp(payload []byte, run uint32, at int64) {
	b := payload[len(payload)-stampBytes:]
	copy(b, stampMagic[:])
	binary.BigEndian.PutUint32(b[4:], run)
	binary.BigEndian.PutUint64(b[8:], uint64(at))
}

// stamped reads it: when the packet was sent, in ns since 1970; false if it has none.
func stamped(payload []byte, run uint32) (at int64, ok bool) {
	if len(payload) < stampBytes {
		return 0, false
	}
	b := payload[len(payload)-stampBytes:]
	if [4]byte(b) != stampMagic || binary.BigEndian.Uint32(b[4:]) != run {
		return 0, false
	}
	return int64(binary.BigEndian.Uint64(b[8:])), true
}

// Histogram counts durations of up to some hours in steps of 1/16 or finer of
// themselves, so that percentiles of millions of them cost a kilobyte or two. The zero
// value is empty. It is not safe for concurrent use.
type Histogram struct {
	buckets [buckets]uint64
	count   uint64
	max     time.Duration
	sum     time.Duration
}

const (
	subBits = 4 // a power of two is divided in 1<<subBits steps
	unit    = time.Microsecond
	buckets = 40 << subBits
)

func bucketOf(d time.Duration) int {
	n := uint64(max(0, d) / unit)
	if n < 1<<subBits {
		return int(n)
	}
	shift := bits.Len64(n) - 1 - subBits
	return min(shift<<subBits+int(n>>shift), buckets-1)
}

// lowerBound is the least duration of a bucket.
func lowerBound(i int) time.Duration {
	if i < 1<<subBits {
		return time.Duration(i) * unit
	}
	shift := i>>subBits - 1
	return time.Duration(i-shift<<subBits) << shift * unit
}

// Add counts one.
func (h *Histogram) Add(d time.Duration) {
	h.buckets[bucketOf(d)]++
	h.count++
	h.max = max(h.max, d)
	h.sum += d
}

// Merge adds what another has counted.
func (h *Histogram) Merge(o *Histogram) {
	for i, n := range o.buckets {
		h.buckets[i] += n
	}
	h.count += o.count
	h.max = max(h.max, o.max)
	h.sum += o.sum
}

// Count is how many there are.
func (h *Histogram) Count() uint64 { return h.count }

// Max is the longest.
func (h *Histogram) Max() time.Duration { return h.max }

// Mean is 0 if there is none.
func (h *Histogram) Mean() time.Duration {
	if h.count == 0 {
		return 0
	}
	return h.sum / time.Duration(h.count)
}

// Quantile is the upper bound of the bucket in which the q-th part of all durations
// ends, 0 to 1, by the nearest rank; no more than Max. 0 if there is none.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank := uint64(q * float64(h.count))
	if float64(rank) < q*float64(h.count) {
		rank++
	}
	rank = max(rank, 1)
	var n uint64
	for i, c := range h.buckets {
		if n += c; n >= rank {
			return min(lowerBound(i+1), h.max)
		}
	}
	return h.max
}

// Bin is a bar of a histogram.
type Bin struct {
	From, To time.Duration
	Count    uint64
}

// Bins are those that are not empty, the shortest first.
func (h *Histogram) Bins() []Bin {
	var bins []Bin
	for i, c := range h.buckets {
		if c > 0 {
			bins = append(bins, Bin{From: lowerBound(i), To: lowerBound(i + 1), Count: c})
		}
	}
	return bins
}
