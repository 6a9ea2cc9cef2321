package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
)

// Labels of the keys that are derived from a master key (RFC 3711 section 4.3.2).
const (
	labelRTPKey   = 0x00
	labelRTPSalt  = 0x02
	labelRTCPKey  = 0x03
	labelRTCPSalt = 0x05
)

const (
	gcmTag  = 16 // bytes
	gcmSalt = 12 // bytes, RFC 7714 section 12.1
)

// gcm is AEAD_AES_128_GCM or AEAD_AES_256_GCM with one key of a session (RFC 7714). What
// it is given has been looked at: lengths are right, and the index is one that may be
// used. One goroutine at a time may use it.
type gcm struct {
	aead  cipher.AEAD
	salt  [gcmSalt]byte
	nonce [gcmSalt]byte
	aad   [12]byte
}

// newGCM derives the session key and salt of the given labels.
func newGCM(master, salt []byte, keyLabel, saltLabel byte) (*gcm, error) {
	if len(salt) != gcmSalt {
		return nil, errors.New("master salt of a wrong length")
	}
	prf, err := aes.NewCipher(master)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(derive(prf, salt, keyLabel, len(master)))
	if err != nil {
		return nil, err
	}
	g := &gcm{}
	if g.aead, err = cipher.NewGCM(block); err != nil {
		return nil, err
	}
	copy(g.salt[:], derive(prf, salt, saltLabel, gcmSalt))
	return g, nil
}

// derive makes n bytes of key material (RFC 3711 section 4.3.1, at a key derivation rate of
// 0), by AES in counter mode.
func derive(prf cipher.Block, salt []byte, label byte, n int) []byte {
	var x [aes.BlockSize]byte
	copy(x[:14], salt)
	x[7] ^= label
	out := make([]byte, 0, n+aes.BlockSize)
	for i := uint16(0); len(out) < n; i++ {
		binary.BigEndian.PutUint16(x[14:], i)
		out = out[:len(out)+aes.BlockSize]
		prf.Encrypt(out[len(out)-aes.BlockSize:], x[:])
	}
	return out[:n]
}

// prepare makes the nonce (RFC 7714 sections 8.1 and 9.1); an RTCP index has 31 bits of
// the 48.
func (g *gcm) prepare(ssrc uint32, index uint64) {
	n := &g.nonce
	binary.BigEndian.PutUint64(n[4:], index)
	binary.BigEndian.PutUint32(n[2:], ssrc)
	n[0], n[1] = 0, 0
	for i := range n {
		n[i] ^= g.salt[i]
	}
}

// seal protects a packet in place, whose header is so long; it grows by the tag.
func (g *gcm) seal(pkt []byte, header int, ssrc uint32, index uint64) []byte {
	g.prepare(ssrc, index)
	return g.aead.Seal(pkt[:header], g.nonce[:], pkt[header:], pkt[:header])
}

// open writes what an SRTP packet protects to buf.
func (g *gcm) open(buf, pkt []byte, header int, ssrc uint32, index uint64) ([]byte, error) {
	g.prepare(ssrc, index)
	return g.aead.Open(append(buf, pkt[:header]...), g.nonce[:], pkt[header:], pkt[:header])
}

// openRTCP is open for an SRTCP packet, that ends with the word of flag and index.
func (g *gcm) openRTCP(buf, pkt []byte, ssrc uint32, index uint64) ([]byte, error) {
	g.prepare(ssrc, index)
	end := len(pkt) - srtcpWord
	copy(g.aad[:], pkt[:rtcpClear])
	copy(g.aad[rtcpClear:], pkt[end:])
	return g.aead.Open(append(buf, pkt[:rtcpClear]...), g.nonce[:], pkt[rtcpClear:end], g.aad[:])
}
