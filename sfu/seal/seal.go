// Package seal protects the RTP packets to one peer (SRTP, RFC 3711, and its
// AES-GCM, RFC 7714) and opens the RTCP packets of that peer.
//
// The ciphers are Pion's. What is added is that nothing leaves if its packet index
// was sealed with other bytes before: with AES-GCM two different packets under one
// index give the authentication key away (RFC 7714 section 9.1), and with either
// cipher the exclusive or of their payloads.
package seal

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
)

// Errors of Seal and Open.
var (
	// ErrSealed says that the index was sealed before, with other bytes, or so long
	// ago that nobody knows with which.
	ErrSealed = errors.New("seal: packet index was sealed before")
	// ErrShort says that the packet is no RTP or RTCP packet, or that the buffer has
	// no room for the tag.
	ErrShort = errors.New("seal: packet or buffer too short")
)

// Keys are the master keys of an SRTP session (RFC 3711 section 8.2).
type Keys struct {
	Profile           srtp.ProtectionProfile
	Key, Salt         []byte // master key and salt of what we send
	PeerKey, PeerSalt []byte // of what the peer sends
}

// Sealer seals what is sent to one peer. One goroutine at a time may use it and its
// streams.
type Sealer struct {
	ctx      *srtp.Context
	overhead int
	header   rtp.Header
	streams  map[uint32]*Stream // nil for an SSRC that has ended
}

// NewSealer makes the sealer of a session. It fails on a profile or key that SRTP
// does not know.
func NewSealer(k Keys) (*Sealer, error) {
	ctx, err := srtp.CreateContext(k.Key, k.Salt, k.Profile)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	tag, err := k.Profile.AuthTagRTPLen()
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	aead, err := k.Profile.AEADAuthTagLen()
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return &Sealer{ctx: ctx, overhead: tag + aead, streams: make(map[uint32]*Stream)}, nil
}

// Overhead is how many bytes a sealed packet is longer.
func (s *Sealer) Overhead() int { return s.overhead }

// Stream is what was sealed of one SSRC; there is one for each, however often it is
// asked for. An SSRC that has ended seals nothing any more.
func (s *Sealer) Stream(ssrc uint32) *Stream {
	st, known := s.streams[ssrc]
	if st == nil {
		st = &Stream{sealer: s, ssrc: ssrc, ended: known}
	}
	if !known {
		s.streams[ssrc] = st
	}
	return st
}

// End says that no more packets of an SSRC come; it is remembered, what was sealed of
// it is not.
func (s *Sealer) End(ssrc uint32) { s.streams[ssrc] = nil }

// Stream seals the packets of one SSRC.
type Stream struct {
	sealer *Sealer
	ssrc   uint32
	ended  bool // and which indices were used is forgotten
	used   window
	tags   []uint64 // by index, the last bytes of what was sealed; nil unless kept
}

// KeepTags has the last n packets sealed from now on be sealed again, if they are
// the same to the bit. n is a power of two of at most 1024.
func (st *Stream) KeepTags(n int) {
	if len(st.tags) != n {
		st.tags = make([]uint64, n)
		st.used.forgetTags()
	}
}

// Seal protects the RTP packet pkt in place; its capacity must have room for the
// overhead. It returns the sealed packet, or ErrSealed with nothing that may leave.
func (st *Stream) Seal(pkt []byte) ([]byte, error) {
	if len(pkt) < minHeader || cap(pkt)-len(pkt) < st.sealer.overhead || binary.BigEndian.Uint32(pkt[8:]) != st.ssrc {
		return nil, ErrShort
	}
	index, ok := st.used.index(binary.BigEndian.Uint16(pkt[2:]))
	was := st.used.state(index, len(st.tags))
	if !ok || was == spent || st.ended {
		return nil, ErrSealed
	}
	out, err := st.sealer.ctx.EncryptRTP(pkt[:0], pkt, &st.sealer.header)
	if err != nil {
		return nil, err
	}
	tag := binary.BigEndian.Uint64(out[len(out)-8:])
	if was == known && st.tags[index%uint64(len(st.tags))] != tag {
		clear(out)
		return nil, ErrSealed
	}
	st.used.mark(index)
	if len(st.tags) > 0 {
		st.tags[index%uint64(len(st.tags))] = tag
	}
	return out, nil
}

const minHeader = 12 // bytes, RFC 3550 section 5.1

// Opener opens the RTCP packets of a peer. One goroutine at a time may use it.
type Opener struct {
	ctx *srtp.Context
}

// replayWindow is how many RTCP packets may be overtaken (RFC 3711 section 3.3.2
// asks for 64 at least).
const replayWindow = 256

// NewOpener makes the opener of a session.
func NewOpener(k Keys) (*Opener, error) {
	ctx, err := srtp.CreateContext(k.PeerKey, k.PeerSalt, k.Profile, srtp.SRTCPReplayProtection(replayWindow))
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return &Opener{ctx: ctx}, nil
}

// Open authenticates and decrypts an SRTCP packet into buf, which it may grow. The
// error says that it is forged, a replay, or none.
func (o *Opener) Open(buf, pkt []byte) ([]byte, error) {
	if len(pkt) < 8 {
		return nil, ErrShort
	}
	return o.ctx.DecryptRTCP(buf[:0], pkt, nil)
}
