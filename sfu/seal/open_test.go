package seal

import (
	"encoding/binary"
	"testing"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
	"github.com/stretchr/testify/require"
)

// pair is a peer that seals by Pion, and the opener of what it sends.
func pair(t testing.TB, k Keys) (*srtp.Context, *Opener) {
	t.Helper()
	peer, err := srtp.CreateContext(k.PeerKey, k.PeerSalt, k.Profile)
	require.NoError(t, err)
	o, err := NewOpener(k)
	require.NoError(t, err)
	return peer, o
}

func TestPacketsAreOpened(t *testing.T) {
	forProfiles(t, func(t *testing.T, k Keys) {
		peer, o := pair(t, k)
		buf := make([]byte, 0, 200)
		for i := range 70_000 { // round the sequence numbers
			clear := packet(t, uint16(65_000+i), 7, byte(i), byte(i>>8), 9)
			sealed, err := peer.EncryptRTP(nil, clear, nil)
			require.NoError(t, err)
			if i%3 == 1 {
				continue // lost
			}
			got, err := o.OpenRTP(buf, sealed)
			require.NoError(t, err)
			require.Equal(t, clear, got)
		}
	})
}

func TestPacketsAreOpenedOnce(t *testing.T) {
	forProfiles(t, func(t *testing.T, k Keys) {
		peer, o := pair(t, k)
		var sealed [][]byte
		for seq := range uint16(5) {
			b, err := peer.EncryptRTP(nil, packet(t, seq, 7, 1), nil)
			require.NoError(t, err)
			sealed = append(sealed, b)
		}
		for _, seq := range []int{3, 1, 4} {
			_, err := o.OpenRTP(nil, sealed[seq])
			require.NoError(t, err)
			_, err = o.OpenRTP(nil, sealed[seq])
			require.ErrorIs(t, err, ErrReplay)
		}
		forged := append([]byte(nil), sealed[2]...)
		forged[len(forged)-1] ^= 1
		_, err := o.OpenRTP(nil, forged)
		require.Error(t, err)
		_, err = o.OpenRTP(nil, sealed[2])
		require.NoError(t, err, "the forgery took the place of the packet")
	})
}

func TestForgeriesTakeNoMemory(t *testing.T) {
	forProfiles(t, func(t *testing.T, k Keys) {
		peer, o := pair(t, k)
		b, err := peer.EncryptRTP(nil, packet(t, 1, 7, 1), nil)
		require.NoError(t, err)
		for ssrc := range uint32(100) {
			binary.BigEndian.PutUint32(b[8:], 100+ssrc)
			_, err := o.OpenRTP(nil, b)
			require.Error(t, err)
		}
		require.Empty(t, o.packets)
	})
}

func TestStreamsAreBounded(t *testing.T) {
	peer, o := pair(t, testKeys(t, profiles[0]))
	for ssrc := range uint32(maxStreams + 1) {
		b, err := peer.EncryptRTP(nil, packet(t, 1, ssrc, 1), nil)
		require.NoError(t, err)
		if _, err = o.OpenRTP(nil, b); ssrc < maxStreams {
			require.NoError(t, err)
		} else {
			require.ErrorIs(t, err, ErrStreams)
		}
	}
}

func TestReportsInClearAreRefused(t *testing.T) {
	k := testKeys(t, profiles[0])
	o, err := NewOpener(k)
	require.NoError(t, err)
	peer, err := srtp.CreateContext(k.PeerKey, k.PeerSalt, k.Profile, srtp.SRTCPNoEncryption())
	require.NoError(t, err)
	clear, err := (&rtcp.PictureLossIndication{SenderSSRC: 1, MediaSSRC: 2}).Marshal()
	require.NoError(t, err)
	b, err := peer.EncryptRTCP(nil, clear, nil)
	require.NoError(t, err)
	_, err = o.OpenRTCP(nil, b)
	require.ErrorIs(t, err, ErrClear)
}

// FuzzLikePion: whatever a packet's header is like, it is sealed to the bit as Pion
// seals it, and opened as Pion opens it; what is no packet opens neither way.
func FuzzLikePion(f *testing.F) {
	f.Add([]byte{0x80, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7, 1, 2, 3})
	f.Add([]byte{0x91, 96, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 7, 9, 9, 9, 9, 0xbe, 0xde, 0, 1, 0x10, 5, 0, 0, 1})
	f.Add([]byte{0x90, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7, 0xbe, 0xde, 0xff, 0xff})
	k := testKeys(f, profiles[0])
	k.PeerKey, k.PeerSalt = k.Key, k.Salt // what we seal we can open
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1400 {
			return
		}
		o, err := NewOpener(k)
		require.NoError(t, err)
		pion, err := srtp.CreateContext(k.Key, k.Salt, k.Profile)
		require.NoError(t, err)
		_, oursErr := o.OpenRTP(nil, b)
		_, pionErr := pion.DecryptRTP(nil, b, nil)
		require.Equal(t, pionErr != nil, oursErr != nil)

		var h rtp.Header
		if _, err := h.Unmarshal(b); err != nil || h.Version != 2 || len(b) < minHeader {
			return
		}
		want, err := pion.EncryptRTP(nil, b, nil)
		require.NoError(t, err)
		got, err := newStream(t, k, h.SSRC).Seal(append(make([]byte, 0, len(b)+16), b...))
		require.NoError(t, err)
		require.Equal(t, want, got)
		clear, err := o.OpenRTP(nil, got)
		require.NoError(t, err)
		require.Equal(t, b, clear)
	})
}

func TestOpeningDoesNotAllocate(t *testing.T) {
	k := testKeys(t, profiles[0])
	peer, o := pair(t, k)
	buf := make([]byte, 0, 1500)
	pkt := packet(t, 0, 7, make([]byte, 1100)...)
	rr, err := (&rtcp.ReceiverReport{SSRC: 1}).Marshal()
	require.NoError(t, err)
	var packets, reports [][]byte
	for seq := range uint16(1100) {
		binary.BigEndian.PutUint16(pkt[2:], seq)
		b, err := peer.EncryptRTP(nil, pkt, nil)
		require.NoError(t, err)
		packets = append(packets, b)
		b, err = peer.EncryptRTCP(nil, rr, nil)
		require.NoError(t, err)
		reports = append(reports, b)
	}
	i := 0
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		_, err1 := o.OpenRTP(buf, packets[i])
		_, err2 := o.OpenRTCP(buf, reports[i])
		if err1 != nil || err2 != nil {
			panic("not opened")
		}
		i++
	}))
}

func BenchmarkOpen(b *testing.B) {
	for _, p := range profiles {
		b.Run(p.String(), func(b *testing.B) {
			k := testKeys(b, p)
			peer, o := pair(b, k)
			pkt := packet(b, 0, 7, make([]byte, 1100)...)
			buf, sealed := make([]byte, 0, 1500), make([]byte, 0, 1500)
			b.SetBytes(int64(len(pkt)))
			b.ReportAllocs()
			var seq uint16
			for b.Loop() {
				b.StopTimer()
				binary.BigEndian.PutUint16(pkt[2:], seq)
				var err error
				if sealed, err = peer.EncryptRTP(sealed[:0], pkt, nil); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				if _, err := o.OpenRTP(buf, sealed); err != nil {
					b.Fatal(err)
				}
				seq++
			}
		})
	}
}
