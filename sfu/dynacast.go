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

// demand tells the publisher of a video track which layers are wanted ("dynacast").
// A higher layer is asked for at once, one that nobody wants is given up a little
// later. A layer wanted by a subscriber whose bandwidth does not suffice for it
// counts as wanted, and so do all below it, for they serve that subscriber.
func (t *publication) demand(now time.Time) {
	if t.info.Type != livekit.TrackType_VIDEO {
		return
	}
	want := downtrack.None
	for p, s := range t.subscribers {
		if !p.disabled[t.info.Sid] {
			want = max(want, s.layer)
		}
	}
	if want != downtrack.None && svc(t.codec) {
		want = downtrack.MaxLayers - 1 // one stream, all of it or nothing
	}
	switch {
	case want == t.demanded:
		t.lowerSince = time.Time{}
		return
	case want < t.demanded && t.lowerSince.IsZero():
		t.lowerSince = now
		return
	case want < t.demanded && now.Sub(t.lowerSince) < lowerAfter:
		return
	}
	t.demanded, t.lowerSince = want, time.Time{}
	t.tellDemand()
}

// svc tells whether the layers of a codec come in one stream.
func svc(c webrtc.RTPCodecCapability) bool {
	return strings.EqualFold(c.MimeType, webrtc.MimeTypeVP9) || strings.EqualFold(c.MimeType, webrtc.MimeTypeAV1)
}

func (t *publication) tellDemand() {
	var qualities []*livekit.SubscribedQuality
	for q := livekit.VideoQuality_LOW; q <= livekit.VideoQuality_HIGH; q++ {
		qualities = append(qualities, &livekit.SubscribedQuality{Quality: q, Enabled: int(q) <= t.demanded})
	}
	_, codec, _ := strings.Cut(strings.ToLower(t.codec.MimeType), "/")
	t.p.log.Debug("layers wanted", "track", t.info.Sid, "highest", t.demanded)
	t.p.send(&livekit.SignalResponse{Message: &livekit.SignalResponse_SubscribedQualityUpdate{
		SubscribedQualityUpdate: &livekit.SubscribedQualityUpdate{
			TrackSid: t.info.Sid, SubscribedQualities: qualities,
			SubscribedCodecs: []*livekit.SubscribedCodec{{Codec: codec, Qualities: qualities}},
		},
	}})
}
