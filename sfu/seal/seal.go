// Package seal protects the RTP packets to one peer (SRTP, RFC 3711, and its
// AES-GCM, RFC 7714) and opens what that peer sends.
//
// AES-GCM is laid out here, with Go's cipher, for it is a tenth of what forwarding
// costs; AES-CM with HMAC-SHA1 is Pion's. Nothing leaves if its packet index
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

// Errors of Seal.
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
	gcm      *gcm          // nil: ctx seals
	ctx      *srtp.Context // of profiles other than AES-GCM
	overhead int
	header   rtp.Header
	streams  map[uint32]*Stream // nil for an SSRC that has ended
}

// NewSealer makes the sealer of a session. It fails on a profile or key that SRTP
// does not know.
func NewSealer(k Keys) (*Sealer, error) {
	s := &Sealer{streams: make(map[uint32]*Stream)}
	var err error
	if isGCM(k.Profile) {
		s.gcm, err = newGCM(k.Key, k.Salt, labelRTPKey, labelRTPSalt)
	} else {
		s.ctx, err = srtp.CreateContext(k.Key, k.Salt, k.Profile)
	}
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
	s.overhead = tag + aead
	return s, nil
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
	out, err := st.sealer.seal(pkt, st.ssrc, index)
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

func (s *Sealer) seal(pkt []byte, ssrc uint32, index uint64) ([]byte, error) {
	if s.gcm == nil {
		return s.ctx.EncryptRTP(pkt[:0], pkt, &s.header)
	}
	header, ok := headerSize(pkt)
	if !ok {
		return nil, ErrShort
	}
	return s.gcm.seal(pkt, header, ssrc, index), nil
}

const minHeader = 12 // bytes, RFC 3550 section 5.1
