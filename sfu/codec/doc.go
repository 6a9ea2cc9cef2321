// Package codec reads what an SFU must know of RTP packets and of the codecs
// inside them: where a packet's payload is, its header extensions, where frames
// and key frames start, how large the picture is. It also rewrites the VP8
// payload descriptor, the one place where a codec counts its frames in the open.
//
// Everything here is pure: no goroutines, no allocation, and any input at all
// is answered without a panic, because all of it comes from the network.
package codec
