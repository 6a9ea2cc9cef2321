package codec

// AV1 is the AV1 aggregation header (RTP payload format for AV1, section 4.4).
type AV1 struct {
	Continues   bool  // Z: the first OBU element continues one of the packet before
	Continued   bool  // Y: the last OBU element goes on in the next packet
	Elements    uint8 // W: OBU elements in the packet; 0 if each has its length before it
	NewSequence bool  // N: first packet of a coded video sequence
}

// ParseAV1 reads the aggregation header of an RTP payload. The error is ErrShort
// if nothing follows it.
func ParseAV1(payload []byte) (AV1, error) {
	if len(payload) < 2 {
		return AV1{}, ErrShort
	}
	h := payload[0]
	return AV1{
		Continues:   h&0x80 != 0,
		Continued:   h&0x40 != 0,
		Elements:    h >> 4 & 0x03,
		NewSequence: h&0x08 != 0,
	}, nil
}
