package codec

import "errors"

// Limits of a RED payload (RFC 2198 section 3, and ours on the blocks).
const (
	MaxREDBlocks  = 5       // 4 redundant ones and the primary
	maxREDOffset  = 1 << 14 // timestamp offset, exclusive
	maxREDLength  = 1 << 10 // bytes of a redundant block, exclusive
	redHeaderSize = 4       // bytes before a redundant block; 1 before the primary
)

// MimeRED is RED for audio, in lower case (WebRTC carries Opus in it).
const MimeRED = "audio/red"

// ErrRED is returned for a RED payload with too many blocks.
var ErrRED = errors.New("codec: RED payload of too many blocks")

// REDBlock is one block of a RED payload.
type REDBlock struct {
	PayloadType uint8
	Offset      uint16 // how much older than the packet's its RTP timestamp is; 0 for the primary
	Data        []byte // a part of the payload
}

// ParseRED reads a RED payload (RFC 2198) into blocks and returns how many there
// are, oldest first; the last is the primary. The error is ErrShort or ErrRED.
func ParseRED(payload []byte, blocks *[MaxREDBlocks]REDBlock) (n int, err error) {
	at, lengths := 0, [MaxREDBlocks]int{}
	for {
		if at >= len(payload) {
			return 0, ErrShort
		}
		if n == MaxREDBlocks {
			return 0, ErrRED
		}
		h := payload[at:]
		blocks[n] = REDBlock{PayloadType: h[0] & 0x7F}
		n++
		if h[0]&0x80 == 0 { // F: another block follows
			at++
			break
		}
		if len(h) < redHeaderSize {
			return 0, ErrShort
		}
		blocks[n-1].Offset = uint16(h[1])<<6 | uint16(h[2])>>2
		lengths[n-1] = int(h[2]&0x03)<<8 | int(h[3])
		at += redHeaderSize
	}
	for i := range n - 1 {
		end := at + lengths[i]
		if end > len(payload) {
			return 0, ErrShort
		}
		blocks[i].Data = payload[at:end:end]
		at = end
	}
	if at >= len(payload) {
		return 0, ErrShort // no primary
	}
	blocks[n-1].Data = payload[at:]
	return n, nil
}

// PrimaryOfRED returns the primary block of a RED payload: what a subscriber
// without RED gets. The errors are those of ParseRED.
func PrimaryOfRED(payload []byte) ([]byte, error) {
	var blocks [MaxREDBlocks]REDBlock
	n, err := ParseRED(payload, &blocks)
	if err != nil {
		return nil, err
	}
	return blocks[n-1].Data, nil
}

// SetREDPayloadType gives all blocks of a RED payload the payload type that a
// subscriber has for the codec inside. The result is false, and payload as it
// was, if it is not a RED payload.
func SetREDPayloadType(payload []byte, payloadType uint8) bool {
	var blocks [MaxREDBlocks]REDBlock
	n, err := ParseRED(payload, &blocks)
	if err != nil {
		return false
	}
	for i := range n {
		at := redHeaderSize * i
		payload[at] = payload[at]&0x80 | payloadType&0x7F
	}
	return true
}
