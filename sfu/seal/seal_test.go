package seal

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
	"github.com/stretchr/testify/require"
)

var profiles = []srtp.ProtectionProfile{srtp.ProtectionProfileAeadAes128Gcm, srtp.ProtectionProfileAes128CmHmacSha1_80}

func testKeys(t testing.TB, p srtp.ProtectionProfile) Keys {
	t.Helper()
	keyLen, err := p.KeyLen()
	require.NoError(t, err)
	saltLen, err := p.SaltLen()
	require.NoError(t, err)
	fill := func(n int, b byte) []byte { return bytes.Repeat([]byte{b}, n) }
	return Keys{Profile: p, Key: fill(keyLen, 1), Salt: fill(saltLen, 2), PeerKey: fill(keyLen, 3), PeerSalt: fill(saltLen, 4)}
}

func forProfiles(t *testing.T, test func(t *testing.T, k Keys)) {
	for _, p := range profiles {
		t.Run(p.String(), func(t *testing.T) { test(t, testKeys(t, p)) })
	}
}

func newStream(t testing.TB, k Keys, ssrc uint32) *Stream {
	t.Helper()
	s, err := NewSealer(k)
	require.NoError(t, err)
	return s.Stream(ssrc)
}

// packet is an RTP packet in a buffer with room for the tag.
func packet(t testing.TB, seq uint16, ssrc uint32, payload ...byte) []byte {
	t.Helper()
	h := rtp.Header{Version: 2, SequenceNumber: seq, SSRC: ssrc, PayloadType: 96}
	require.NoError(t, h.SetExtension(3, []byte{byte(seq >> 8), byte(seq)}))
	b, err := (&rtp.Packet{Header: h, Payload: payload}).Marshal()
	require.NoError(t, err)
	return append(make([]byte, 0, 1500), b...)
}

func TestAPeerReadsWhatIsSealed(t *testing.T) {
	forProfiles(t, func(t *testing.T, k Keys) {
		st := newStream(t, k, 7)
		peer, err := srtp.CreateContext(k.Key, k.Salt, k.Profile)
		require.NoError(t, err)
		for i := range 70_000 { // round the sequence numbers
			seq := uint16(65_000 + i)
			clear := packet(t, seq, 7, byte(i), byte(i>>8), 9)
			sealed, err := st.Seal(append(make([]byte, 0, 200), clear...))
			require.NoError(t, err)
			require.Len(t, sealed, len(clear)+st.sealer.Overhead())
			got, err := peer.DecryptRTP(nil, sealed, nil)
			require.NoError(t, err)
			require.Equal(t, clear, got)
		}
	})
}

func TestAnIndexIsSealedOnce(t *testing.T) {
	forProfiles(t, func(t *testing.T, k Keys) {
		st := newStream(t, k, 7)
		seal := func(seq uint16, payload byte) error {
			_, err := st.Seal(packet(t, seq, 7, payload))
			return err
		}
		require.NoError(t, seal(100, 1))
		require.ErrorIs(t, seal(100, 1), ErrSealed)
		require.ErrorIs(t, seal(100, 2), ErrSealed)
		require.NoError(t, seal(98, 1), "overtaken, but new")
		require.ErrorIs(t, seal(98, 1), ErrSealed)
		require.NoError(t, seal(100+remembered, 1))
		require.ErrorIs(t, seal(99, 1), ErrSealed, "too old to be sure")
		require.NoError(t, seal(102, 1))
	})
}

func TestThereIsNoIndexBelowTheFirst(t *testing.T) {
	st := newStream(t, testKeys(t, profiles[0]), 7)
	_, err := st.Seal(packet(t, 3, 7, 1))
	require.NoError(t, err)
	_, err = st.Seal(packet(t, 65_530, 7, 1))
	require.ErrorIs(t, err, ErrSealed)
}

func TestWithTagsThePacketItselfMayGoAgain(t *testing.T) {
	forProfiles(t, func(t *testing.T, k Keys) {
		st := newStream(t, k, 7)
		_, err := st.Seal(packet(t, 1, 7, 1))
		require.NoError(t, err)
		st.KeepTags(128)
		_, err = st.Seal(packet(t, 1, 7, 1))
		require.ErrorIs(t, err, ErrSealed, "its tag was not kept")
		first, err := st.Seal(packet(t, 2, 7, 1))
		require.NoError(t, err)
		again, err := st.Seal(packet(t, 2, 7, 1))
		require.NoError(t, err)
		require.Equal(t, first, again)

		b := packet(t, 2, 7, 2)
		_, err = st.Seal(b)
		require.ErrorIs(t, err, ErrSealed)
		require.Equal(t, make([]byte, len(b)), b, "what was sealed with a used index is left in the buffer")

		_, err = st.Seal(packet(t, 2+128, 7, 1))
		require.NoError(t, err)
		_, err = st.Seal(packet(t, 2, 7, 1))
		require.ErrorIs(t, err, ErrSealed, "its tag was overwritten")
	})
}

func TestAnSSRCThatHasEndedIsNotSealedAgain(t *testing.T) {
	st := newStream(t, testKeys(t, profiles[0]), 7)
	s := st.sealer
	require.Same(t, st, s.Stream(7))
	_, err := st.Seal(packet(t, 1, 7, 1))
	require.NoError(t, err)
	s.End(7)
	_, err = st.Seal(packet(t, 2, 7, 1))
	require.NoError(t, err, "what was under way")
	_, err = s.Stream(7).Seal(packet(t, 3, 7, 1))
	require.ErrorIs(t, err, ErrSealed)
	_, err = s.Stream(8).Seal(packet(t, 1, 8, 1))
	require.NoError(t, err)
}

func TestSealRefusesWhatIsNoPacketOfTheStream(t *testing.T) {
	st := newStream(t, testKeys(t, profiles[0]), 7)
	b := packet(t, 1, 7, 1)
	for name, bad := range map[string][]byte{
		"short": b[:11], "of another SSRC": packet(t, 1, 8, 1), "without room": b[:len(b):len(b)],
	} {
		_, err := st.Seal(bad)
		require.ErrorIs(t, err, ErrShort, name)
	}
}

func TestBadKeys(t *testing.T) {
	k := testKeys(t, profiles[0])
	k.Key = k.Key[:5]
	_, err := NewSealer(k)
	require.Error(t, err)
	k.PeerKey = nil
	_, err = NewOpener(k)
	require.Error(t, err)
}

func TestReportsAreOpenedOnce(t *testing.T) {
	forProfiles(t, func(t *testing.T, k Keys) {
		o, err := NewOpener(k)
		require.NoError(t, err)
		peer, err := srtp.CreateContext(k.PeerKey, k.PeerSalt, k.Profile)
		require.NoError(t, err)
		clear, err := (&rtcp.PictureLossIndication{SenderSSRC: 1, MediaSSRC: 2}).Marshal()
		require.NoError(t, err)
		sealed, err := peer.EncryptRTCP(nil, clear, nil)
		require.NoError(t, err)
		got, err := o.OpenRTCP(nil, sealed)
		require.NoError(t, err)
		require.Equal(t, clear, got)
		_, err = o.OpenRTCP(nil, sealed)
		require.Error(t, err, "a replay")
		sealed, err = peer.EncryptRTCP(nil, clear, nil)
		require.NoError(t, err)
		sealed[len(sealed)-6] ^= 1
		_, err = o.OpenRTCP(nil, sealed)
		require.Error(t, err, "a forgery")
		_, err = o.OpenRTCP(nil, sealed[:7])
		require.ErrorIs(t, err, ErrShort)
	})
}

// FuzzOnce: whatever sequence numbers are asked for, with tags or without, no index
// leaves with two different packets, and what the peer opens is what was meant.
func FuzzOnce(f *testing.F) {
	f.Add(uint64(1), true, []byte{1, 2, 2, 1, 0xff, 0, 1})
	f.Add(uint64(9), false, []byte{0, 0, 0, 0x80, 0x7f, 3, 3})
	f.Fuzz(func(t *testing.T, seed uint64, tags bool, steps []byte) {
		r := rand.New(rand.NewPCG(seed, 0))
		k := testKeys(t, profiles[seed%2])
		st := newStream(t, k, 7)
		if tags {
			st.KeepTags(64)
		}
		peer, err := srtp.CreateContext(k.Key, k.Salt, k.Profile)
		require.NoError(t, err)
		left := map[int64][]byte{} // by index
		top := int64(-1)
		index := int64(seed % 70_000)
		for i, step := range steps[:min(len(steps), 300)] {
			switch {
			case step < 0x80:
				index += int64(step % 5)
			case step < 0xc0:
				index -= int64(step % 9)
			case step < 0xe0:
				index += int64(step) * 100
			default:
				index -= int64(step) * 10
			}
			index = max(index, 0)
			if step%16 == 3 && tags {
				st.KeepTags(64 << (i % 2))
			}
			sealed, err := st.Seal(packet(t, uint16(index), 7, byte(r.IntN(3))))
			if err != nil {
				require.ErrorIs(t, err, ErrSealed)
				continue
			}
			_, err = peer.DecryptRTP(nil, sealed, nil)
			require.NoError(t, err, "the peer cannot open it")
			at := nearest(top, uint16(index))
			top = max(top, at)
			if old := left[at]; old != nil {
				require.True(t, tags, "sealed twice without tags")
				require.Equal(t, old, sealed, "index %d left with two packets", at)
			}
			left[at] = bytes.Clone(sealed)
		}
	})
}

// nearest is the index of a sequence number by RFC 3711 section 3.3.1, top being the
// highest so far, -1 before the first.
func nearest(top int64, seq uint16) int64 {
	if top < 0 {
		return int64(seq)
	}
	best := int64(-1)
	for roc := top>>16 - 1; roc <= top>>16+1; roc++ {
		at := roc<<16 | int64(seq)
		if best < 0 || max(at-top, top-at) < max(best-top, top-best) {
			best = at
		}
	}
	return best
}

func BenchmarkSeal(b *testing.B) {
	for _, p := range profiles {
		b.Run(p.String(), func(b *testing.B) {
			st := newStream(b, testKeys(b, p), 7)
			pkt := packet(b, 0, 7, make([]byte, 1100)...)
			b.SetBytes(int64(len(pkt)))
			b.ReportAllocs()
			var seq uint16
			for b.Loop() {
				binary.BigEndian.PutUint16(pkt[2:], seq)
				if _, err := st.Seal(pkt); err != nil {
					b.Fatal(err)
				}
				seq++
			}
		})
	}
}

func TestSealingDoesNotAllocate(t *testing.T) {
	forProfiles(t, func(t *testing.T, k Keys) {
		st := newStream(t, k, 7)
		st.KeepTags(128)
		pkt := packet(t, 0, 7, make([]byte, 1100)...)
		var seq uint16
		require.Zero(t, testing.AllocsPerRun(1000, func() {
			binary.BigEndian.PutUint16(pkt[2:], seq)
			_, _ = st.Seal(pkt)
			seq++
		}))
	})
}
