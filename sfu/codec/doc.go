// Package codec reads what an SFU must know of RTP packets and of the codecs
// inside them: where a packet's payload is, its header extensions, where frames
// and key frames start, how large the picture is, what scalable streams are made
// of. It chooses what one subscriber gets of a scalable stream (SVC), rewrites
// the places where codecs count their frames in the open (VP8Munger, VP9Munger,
// DDMunger), and makes and reads RED.
//
// Everything here is pure: no goroutines, and any input at all is answered
// without a panic, because all of it comes from the network. Nothing allocates,
// but for a dependency structure that differs from the one before.
//
// # What libwebrtc needs of a forwarded scalable stream
//
// With the dependency descriptor, a receiver takes frame boundaries, references
// and the kind of frame from it, and nothing of the VP9 payload descriptor. Gaps
// in the frame numbers are no harm: a frame waits for its references only. But
// the numbers must go forward at each key frame: one that looks older than the
// key frame before is dropped, which a long pause causes as well (DDMunger). A
// structure may only come with the first packet of a frame. Packets whose
// template is unknown are put aside, for the structure may yet come.
// active_decode_targets_bitmask is not read there, but by other forwarders; the
// specification wants it.
//
// The marker is needed, with the descriptor or without: frames of one timestamp
// are decoded together once the one whose last packet has the marker is there.
// Without it on the highest layer forwarded, the picture is never decoded.
//
// Without the descriptor, VP9 pictures are referred to by differences of their
// ids, in flexible mode in each packet, else by the group of pictures, where the
// id also tells the temporal layer of what is missing. So gaps left by dropped
// temporal layers must stay, unlike those of VP8. In the second mode TL0PICIDX
// must go on by one from each base picture to the next, and a key frame brings a
// scalability structure. At a change of source both ids go on from the last sent
// (VP9Munger).
//
// # What Chromium sends
//
// See testdata/capture. Each spatial layer of a picture is a frame with a number
// of its own. The structure comes with the key frame's lowest layer only, again
// at every key frame, with the same template ids as long as it is the same.
// Simulcast encodings number their frames each for itself. VP9 is in flexible
// mode in all scalability modes, with U in every packet; in the KEY modes all
// delta frames have Z and none has D.
package codec
