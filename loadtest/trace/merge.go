package trace

import (
	"fmt"
	"maps"
	"slices"
)

// Merge puts a stream with spatial layers (VP9) together again out of what several
// subscribers were sent of it: the i-th wants the i-th spatial layer and got that at
// least. In the KEY modes an SFU spares it the layers below in all but key frames. All
// have the timestamps and picture ids of the publisher. The result goes from the first key
// frame that all have got to where the first of the streams ends, and its packets are
// numbered anew. An encoder may leave the upper layers of a picture out; without a lower
// one it is an error.
func Merge(streams [][]Received) ([]Received, error) {
	pictures := map[uint32]*picture{} // by timestamp, relative to the first packet of all
	begin, end := uint32(0), uint32(1<<32-1)
	if len(streams) == 0 || len(streams[0]) == 0 {
		return nil, fmt.Errorf("%w: nothing was received", ErrRecording)
	}
	origin := streams[0][0].Timestamp - 1<<31
	for spatial, packets := range streams {
		packets = inOrder(packets)
		first := slices.IndexFunc(packets, func(p Received) bool { return beginsKeyPicture(p, spatial) })
		if first < 0 {
			return nil, fmt.Errorf("%w: no key frame of spatial layer %d", ErrRecording, spatial)
		}
		packets = packets[first:]
		if err := noneMissing(packets); err != nil {
			return nil, fmt.Errorf("spatial layer %d: %w", spatial, err)
		}
		begin = max(begin, packets[0].Timestamp-origin)
		end = min(end, packets[len(packets)-1].Timestamp-origin)
		for _, p := range packets {
			if err := addToPicture(pictures, p, p.Timestamp-origin, spatial); err != nil {
				return nil, err
			}
		}
	}
	var merged []Received
	for _, at := range slices.Sorted(maps.Keys(pictures)) {
		if at < begin || at >= end {
			continue
		}
		if layers := pictures[at].layers; layers&(layers+1) != 0 {
			return nil, fmt.Errorf("%w: a lower spatial layer of a picture is missing", ErrRecording)
		}
		for _, p := range pictures[at].packets {
			p.Sequence, p.Marker = uint16(len(merged)), false
			merged = append(merged, p)
		}
		merged[len(merged)-1].Marker = true
	}
	return merged, nil
}

// picture is what is there of one picture, the lowest spatial layer first.
type picture struct {
	id      uint16
	layers  uint // a bit for each that is there, that of the lowest first
	packets []Received
}

// beginsKeyPicture tells whether the packet is the first of a key picture's frame of that
// spatial layer: no reference to earlier pictures.
func beginsKeyPicture(p Received, spatial int) bool {
	at, err := inspect(VP9, p.Payload, p.Size)
	return err == nil && at.first && at.spatial == spatial && p.Payload[0]&0x40 == 0
}

func addToPicture(pictures map[uint32]*picture, p Received, time uint32, spatial int) error {
	at, err := inspect(VP9, p.Payload, p.Size)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRecording, err)
	}
	if at.spatial != spatial {
		return nil
	}
	packet := Packet{Head: p.Payload, at: at}
	id, _ := packet.pictureID()
	of := pictures[time]
	if of == nil {
		of = &picture{id: id}
		pictures[time] = of
	}
	if of.id != id {
		return fmt.Errorf("%w: pictures %d and %d have the same time", ErrRecording, of.id, id)
	}
	if at.first {
		of.layers |= 1 << spatial
	}
	of.packets = append(of.packets, p)
	return nil
}
