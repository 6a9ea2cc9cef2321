package seal

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/pion/srtp/v3"
)

// Errors of the Opener.
var (
	// ErrReplay says that the packet, or one that claims to be it, was opened before, or is
	// too old to say.
	ErrReplay = errors.New("seal: packet index was opened before")
	// ErrStreams says that the peer uses more SSRCs than anybody needs.
	ErrStreams = errors.New("seal: too many SSRCs")
	// ErrClear says that an RTCP packet is authenticated only, which no peer asked for.
	ErrClear = errors.New("seal: RTCP packet is not encrypted")
)

const (
	rtcpClear  = 8       // bytes of an RTCP packet that are never encrypted
	srtcpWord  = 4       // bytes: flag and index (RFC 3711 section 3.4)
	encrypted  = 1 << 31 // the flag
	maxStreams = 4096    // SSRCs whose indices are remembered, of RTP and RTCP each
)

// Opener opens what a peer sends. One goroutine at a time may use it. It remembers 1024
// packets of each SSRC, so that none is opened twice.
type Opener struct {
	ctx       *srtp.Context // of profiles other than AES-GCM
	rtp, rtcp *gcm
	packets   map[uint32]*window
	reports   map[uint32]*window
}

// NewOpener makes the opener of a session. It fails on a profile or key that SRTP
// does not know.
func NewOpener(k Keys) (*Opener, error) {
	o := &Opener{packets: make(map[uint32]*window), reports: make(map[uint32]*window)}
	var err error
	if isGCM(k.Profile) {
		if o.rtp, err = newGCM(k.PeerKey, k.PeerSalt, labelRTPKey, labelRTPSalt); err == nil {
			o.rtcp, err = newGCM(k.PeerKey, k.PeerSalt, labelRTCPKey, labelRTCPSalt)
		}
	} else {
		o.ctx, err = srtp.CreateContext(k.PeerKey, k.PeerSalt, k.Profile,
			srtp.SRTPReplayProtection(remembered), srtp.SRTCPReplayProtection(remembered))
	}
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return o, nil
}

// OpenRTP authenticates and decrypts an SRTP packet into buf, which it may grow. The
// error says that it is forged, a replay, or none.
func (o *Opener) OpenRTP(buf, pkt []byte) ([]byte, error) {
	header, ok := headerSize(pkt)
	if !ok {
		return nil, ErrShort
	}
	ssrc := binary.BigEndian.Uint32(pkt[8:])
	w, isNew, err := find(o.packets, ssrc)
	if err != nil {
		return nil, err
	}
	index, ok := w.index(binary.BigEndian.Uint16(pkt[2:]))
	if !ok || w.state(index, 0) != fresh {
		return nil, ErrReplay
	}
	var clear []byte
	if o.ctx != nil {
		clear, err = o.ctx.DecryptRTP(buf[:0], pkt, nil)
	} else {
		clear, err = o.rtp.open(buf[:0], pkt, header, ssrc, index)
	}
	if err != nil {
		return nil, err
	}
	if w.mark(index); isNew {
		o.packets[ssrc] = w
	}
	return clear, nil
}

// OpenRTCP authenticates and decrypts an SRTCP packet into buf, which it may grow. The
// error says that it is forged, a replay, or none.
func (o *Opener) OpenRTCP(buf, pkt []byte) ([]byte, error) {
	if o.ctx != nil {
		if len(pkt) < rtcpClear {
			return nil, ErrShort
		}
		return o.ctx.DecryptRTCP(buf[:0], pkt, nil)
	}
	if len(pkt) < rtcpClear+gcmTag+srtcpWord {
		return nil, ErrShort
	}
	word := binary.BigEndian.Uint32(pkt[len(pkt)-srtcpWord:])
	if word&encrypted == 0 {
		return nil, ErrClear
	}
	ssrc, index := binary.BigEndian.Uint32(pkt[4:]), uint64(word&^encrypted)
	w, isNew, err := find(o.reports, ssrc)
	if err != nil {
		return nil, err
	}
	if w.state(index, 0) != fresh {
		return nil, ErrReplay
	}
	clear, err := o.rtcp.openRTCP(buf[:0], pkt, ssrc, index)
	if err != nil {
		return nil, err
	}
	if w.mark(index); isNew {
		o.reports[ssrc] = w
	}
	return clear, nil
}

// find is the window of an SSRC, which becomes one of streams once a packet of it was
// authentic: anybody can make up SSRCs.
func find(streams map[uint32]*window, ssrc uint32) (w *window, isNew bool, err error) {
	if w = streams[ssrc]; w != nil {
		return w, false, nil
	}
	if len(streams) >= maxStreams {
		return nil, false, ErrStreams
	}
	return &window{}, true, nil
}

func isGCM(p srtp.ProtectionProfile) bool {
	return p == srtp.ProtectionProfileAeadAes128Gcm || p == srtp.ProtectionProfileAeadAes256Gcm
}

// headerSize is the size in bytes of an RTP packet's header with its extensions (RFC 3550
// section 5.1); false if the packet is shorter.
func headerSize(pkt []byte) (int, bool) {
	if len(pkt) < minHeader || pkt[0]>>6 != 2 {
		return 0, false
	}
	n := minHeader + 4*int(pkt[0]&0x0f)
	if pkt[0]&0x10 != 0 {
		if len(pkt) < n+4 {
			return 0, false
		}
		n += 4 + 4*int(binary.BigEndian.Uint16(pkt[n+2:]))
	}
	return n, n <= len(pkt)
}
