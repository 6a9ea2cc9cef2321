package sfu

import (
	"strings"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/pion/webrtc/v4"

	"diemcau/sfu/downtrack"
)

// lowerAfter is how long a layer must be unwanted before its publisher is told to
// switch it off.
const lowerAfter = 3500 * time.Millisecond

// idleAfter is the same for a track that nobody has wanted yet. In a room where hundreds
// publish, most stay so, and until they are told they send all their layers.
const idleAfter = 500 * time.Millisecond

// demand tells the publisher of a track which layers of which codecs are wanted
// ("dynacast"). A higher layer is asked for at once, one that nobody wants is given
// up a little later. A layer wanted by a subscriber whose bandwidth does not suffice
// for it counts as wanted, and so do all below it, for they serve that subscriber.
// Of a guest's track it tells the room of its source.
func (t *publication) demand(now time.Time) {
	if t.p.guest != nil {
		t.p.touch()
		return
	}
	if t.info.Type != livekit.TrackType_VIDEO && len(t.encodings) == 1 {
		return
	}
	changed := false
	for i, e := range t.encodings {
		want := max(t.wanted(i), t.wantedElsewhere(i))
		if want != downtrack.None && svc(e.codec) {
			want = downtrack.MaxLayers - 1 // one stream, all of it or nothing
		}
		changed = e.demand(want, now) || changed
	}
	if changed {
		t.tellDemand()
	}
}

// wanted is the highest layer of encoding i that somebody in this room wants.
func (t *publication) wanted(i int) int {
	want := downtrack.None
	for p, s := range t.subscribers {
		if (s.want == i || s.uses == i) && !p.disabled[t.info.Sid] {
			want = max(want, s.layer)
		}
	}
	return want
}

// demand notes what is wanted of one codec, and tells whether its publisher must
// hear of it.
func (e *encoding) demand(want int, now time.Time) bool {
	after := lowerAfter
	if e.asked = e.asked || want != downtrack.None; !e.asked {
		after = idleAfter
	}
	switch {
	case want == e.demanded:
		e.lowerSince = time.Time{}
		return false
	case want < e.demanded && e.lowerSince.IsZero():
		e.lowerSince = now
		return false
	case want < e.demanded && now.Sub(e.lowerSince) < after:
		return false
	}
	e.demanded, e.lowerSince = want, time.Time{}
	return true
}

// svc tells whether the layers of a codec come in one stream.
func svc(c webrtc.RTPCodecCapability) bool {
	return strings.EqualFold(c.MimeType, webrtc.MimeTypeVP9) || strings.EqualFold(c.MimeType, webrtc.MimeTypeAV1)
}

func (t *publication) tellDemand() {
	if t.info.Type == livekit.TrackType_AUDIO {
		t.tellAudioDemand()
		return
	}
	var codecs []*livekit.SubscribedCodec
	for _, e := range t.encodings {
		var qualities []*livekit.SubscribedQuality
		for q := livekit.VideoQuality_LOW; q <= livekit.VideoQuality_HIGH; q++ {
			qualities = append(qualities, &livekit.SubscribedQuality{Quality: q, Enabled: int(q) <= e.demanded})
		}
		t.p.log.Debug("layers wanted", "track", t.info.Sid, "codec", e.codec.MimeType, "highest", e.demanded)
		codecs = append(codecs, &livekit.SubscribedCodec{Codec: e.shortName(), Qualities: qualities})
	}
	t.p.send(&livekit.SignalResponse{Message: &livekit.SignalResponse_SubscribedQualityUpdate{
		SubscribedQualityUpdate: &livekit.SubscribedQualityUpdate{
			TrackSid: t.info.Sid, SubscribedQualities: codecs[0].Qualities, SubscribedCodecs: codecs,
		},
	}})
}

func (t *publication) tellAudioDemand() {
	var codecs []*livekit.SubscribedAudioCodec
	for _, e := range t.encodings {
		codecs = append(codecs, &livekit.SubscribedAudioCodec{Codec: e.shortName(), Enabled: e.demanded != downtrack.None})
	}
	t.p.send(&livekit.SignalResponse{Message: &livekit.SignalResponse_SubscribedAudioCodecUpdate{
		SubscribedAudioCodecUpdate: &livekit.SubscribedAudioCodecUpdate{
			TrackSid: t.info.Sid, SubscribedAudioCodecs: codecs,
		},
	}})
}

// shortName is how clients call a codec: vp8.
func (e *encoding) shortName() string {
	_, name, _ := strings.Cut(strings.ToLower(e.codec.MimeType), "/")
	return name
}
