// Package trace plays RTP payloads in the shape in which Chromium makes them: the sizes
// of the packets, their times and their descriptors as they were once recorded, with
// filler for the picture. A load tester that sends them loads a server as browsers do,
// at the cost of a copy. What a server or a receiver reads without decoding is true: frame
// boundaries, key frames and picture sizes, picture ids, temporal and spatial layers.
//
// # What was recorded
//
// Chromium 156, a textured picture of 1280×720 at 30 frames/s that pans, with noise:
//   - vp8: simulcast, three temporal layers, picture ids of 15 bits and TL0PICIDX;
//   - h264: simulcast, constrained baseline 42e01f, packetization mode 1;
//   - vp9: all nine layers of L3T3_KEY in one stream, in flexible mode, picture ids of 15
//     bits. Here a frame is a picture, of three spatial layers; of one, libvpx has left
//     the third out.
//
// The times are seconds; the bitrate is kbit/s of payloads; then packets a second, packets
// per frame, frames of several packets and frames whose packets are not all of one size
// (in per cent of all frames), the largest payload in bytes, and the packets without room
// for a time stamp (see MinRoom), which are parameter sets:
//
//	                      time    fps  keys   rate    pps    ppf  split  uneven  largest  cramped
//	h264   320×180  10.04   19.8     7    148   22.5   1.14      4       4     1134        7
//	h264   640×360  10.02   19.7     6    438   58.9   2.99     97      64     1175        6
//	h264  1280×720  10.02   27.1    20   1683  194.6   7.17    100      81     1178       20
//	vp8    320×180   9.98   20.0     6    152   25.5   1.27     24      15     1176        0
//	vp8    640×360   9.98   20.0     6    454   58.0   2.90     94      59     1178        0
//	vp8   1280×720  10.00   30.0     6   1683  193.9   6.46    100      83     1178        0
//	vp9   1280×720   9.92   29.6     6   1683  226.7   7.65    100     100     1177        0
//
// libwebrtc splits a frame (VP9: the frame of a spatial layer; H.264: a NAL unit) evenly,
// the last packets one byte longer than those before: Scaled at the bitrate of the
// recording makes exactly the packets that were recorded. So nearly every larger frame
// is uneven, by one byte, and what goes out with UDP_SEGMENT, where only the last segment
// may be shorter, is cut there.
//
// A key frame was asked for every 2 s, of all layers at once. Those beyond, in the largest
// layer of H.264, OpenH264 made of its own accord; it also left out 3 frames a second.
//
// # Recording anew
//
//	make build && cd client/e2e && npm run capture
//
// has Chromium publish by stock livekit-client to diemcau serve --demo, once in each
// codec, and records it with diemcau loadtest capture (hidden): one subscriber for each
// simulcast quality, all at the same time. So the packets are seen behind the SFU. It
// changes picture ids, which go on without a gap, and drops padding; sizes and markers it
// leaves alone. Offsets within a frame contain its own delays. VP9 is put together again
// from what the subscribers of the three sizes are sent (Merge). A recording in which a
// packet is missing is refused: record again, on a machine that is less busy. Then put
// the table that the tests print into this comment.
//
// The dependency descriptor is refused for it. With that header extension, which the
// load tester does not send, Chromium leaves the picture id and all that follows it out of
// the VP8 descriptor, which is then one byte long.
//
// # Three shapes
//
// A Layer is played as it was recorded, or as Scaled makes it (another bitrate), or Even
// (the packets of a frame all of one size, as a packetizer could make them that thinks of
// UDP_SEGMENT), or both. All share the frames' times and key frames. See Sample for who
// owns the payloads, and Player for what is rewritten.
package trace
