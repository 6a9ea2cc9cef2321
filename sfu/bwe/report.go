package bwe

import "encoding/binary"

// Packet statuses of a report (draft-holmer-rmcat-transport-wide-cc-extensions-01
// section 3.1.1). A packet received bears as many bytes of its arrival time.
const (
	notReceived   = 0
	receivedSmall = 1
	receivedLarge = 2
)

const reportHeader = 20 // bytes: RTCP header, two SSRCs, what stands before the chunks

// report is a transport-wide congestion control report, taken apart in place.
type report struct {
	base      uint16 // sequence number of its first packet
	count     int    // packets that it tells of
	reference uint32 // time, in 64 ms, of 24 bits
	chunks    []byte // statuses, two bytes each
	deltas    []byte // arrival times
}

// parseReport takes an RTCP packet apart; false if it is too short for what it says.
func parseReport(b []byte) (r report, ok bool) {
	if len(b) < reportHeader {
		return r, false
	}
	r.base = binary.BigEndian.Uint16(b[12:])
	r.count = int(binary.BigEndian.Uint16(b[14:]))
	r.reference = binary.BigEndian.Uint32(b[16:]) >> 8
	at := reportHeader
	for told := 0; told < r.count; at += 2 {
		if len(b)-at < 2 {
			return r, false
		}
		switch chunk := binary.BigEndian.Uint16(b[at:]); {
		case chunk&0x8000 == 0:
			told += int(chunk & 0x1fff)
		case chunk&0x4000 == 0:
			told += 14
		default:
			told += 7
		}
	}
	r.chunks, r.deltas = b[reportHeader:at], b[at:]
	return r, true
}
