package codec

// Frame is what SVC must know of the frame a packet belongs to. A frame is one
// spatial layer of a picture. It comes from a dependency descriptor
// (DescriptorFrame) or from VP9 payload descriptors (VP9State).
type Frame struct {
	Layer
	First     bool   // first packet of the frame
	Last      bool   // last packet of the frame
	Marker    bool   // RTP marker: last packet of the picture
	Key       bool   // the stream can be entered here, at any spatial layer
	Number    int64  // of the frame, unrolled: it grows in decoding order
	Timestamp uint32 // of the RTP packet; the frames of a picture share it

	// Descriptor is set if the frame comes with one, and then decides. SVC
	// keeps no pointer to it, only to its Structure.
	Descriptor *Descriptor

	// What VP9 says. See type VP9.
	InterPicture bool // P
	InterLayer   bool // D
	NotForUpper  bool // Z
	SwitchUp     bool // U
	Layers       int  // spatial layers, where a scalability structure tells them; else 0
	Flexible     bool // F: References holds all references to other pictures
	References   int
	PDiff        [maxVP9References]uint8
}

// DescriptorFrame returns the frame of a packet by its dependency descriptor,
// its RTP timestamp and its RTP marker. The frame points to d.
func DescriptorFrame(d *Descriptor, timestamp uint32, marker bool) Frame {
	return Frame{
		Layer: d.Layer, First: d.First, Last: d.Last, Marker: marker, Key: d.KeyFrame(),
		Number: d.Number, Timestamp: timestamp, Descriptor: d,
	}
}

// VP9State numbers the frames of one received VP9 stream: picture ids, which
// wrap around, are unrolled, and where they are missing, pictures are counted by
// their timestamps. The zero value is a stream before its first packet.
// It is not safe for concurrent use.
type VP9State struct {
	picture   int64 // newest picture
	timestamp uint32
	started   bool
}

// vp9Step is how many frame numbers a picture takes: one for each spatial layer.
const vp9Step = maxVP9SpatialLayers

// Frame returns the frame of a packet by its payload descriptor, its RTP
// timestamp and its RTP marker.
func (s *VP9State) Frame(d *VP9, timestamp uint32, marker bool) Frame {
	picture := s.unroll(d, timestamp)
	if !s.started || picture > s.picture {
		s.picture, s.timestamp, s.started = picture, timestamp, true
	}
	return Frame{
		Layer: Layer{Spatial: int8(d.SID), Temporal: int8(d.TID)},
		First: d.B, Last: d.E, Marker: marker, Key: d.KeyFrame(),
		Number: picture*vp9Step + int64(d.SID), Timestamp: timestamp,
		InterPicture: d.P, InterLayer: d.D, NotForUpper: d.Z, SwitchUp: d.U,
		Layers: d.SpatialLayers, Flexible: d.F, References: d.References, PDiff: d.PDiff,
	}
}

func (s *VP9State) unroll(d *VP9, timestamp uint32) int64 {
	switch {
	case !s.started:
		return int64(d.PictureID) + 1<<16 // a late packet is not below 0
	case !d.I:
		if ahead := int32(timestamp - s.timestamp); ahead > 0 {
			return s.picture + 1
		} else if ahead < 0 {
			return s.picture - 1
		}
		return s.picture
	}
	mask := uint16(pictureIDMaskShort)
	if d.PictureIDLong {
		mask = pictureIDMask
	}
	ahead := (d.PictureID - uint16(s.picture)) & mask
	if ahead > mask/2 {
		return s.picture + int64(ahead) - int64(mask) - 1
	}
	return s.picture + int64(ahead)
}
