package sfu

import (
	"slices"
	"strings"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/pion/webrtc/v4"
	"google.golang.org/protobuf/proto"

	"diemcau/sfu/codec"
	"diemcau/sfu/downtrack"
	"diemcau/sfu/uptrack"
)

// maxCIDs bounds the ids under which the media of one codec may come.
const maxCIDs = 8

// encoding is a codec that a track is published in, or can be. A track has one that
// is preferred, and may have backups for subscribers that cannot take that; those
// are published when the first such subscriber comes.
type encoding struct {
	cids   []string                  // ids the media may come with
	codec  webrtc.RTPCodecCapability // as announced, until media came; MimeType may then be empty
	about  *livekit.SimulcastCodecInfo
	layers [downtrack.MaxLayers]*uptrack.Layer
	stops  [downtrack.MaxLayers]func() // end the layers' streams
	due    bool                        // announced by itself: its media is on its way

	demanded   int       // highest layer that its publisher was told to send
	lowerSince time.Time // a lower one would do; zero if not
	asked      bool      // somebody wanted a layer once
}

// received tells whether any of its media has come and has not ended.
func (e *encoding) received() bool {
	return e.layers != [downtrack.MaxLayers]*uptrack.Layer{}
}

func (e *encoding) is(mime string) bool { return strings.EqualFold(e.codec.MimeType, mime) }

func (e *encoding) addCID(cid string) {
	if cid != "" && len(e.cids) < maxCIDs && !slices.Contains(e.cids, cid) {
		e.cids = append(e.cids, cid)
	}
}

// newEncoding is a codec as announced, by a short name or a MIME type.
func newEncoding(kind livekit.TrackType, codec string, layers []*livekit.VideoLayer, cid string) *encoding {
	e := &encoding{codec: capability(kind, codec), demanded: downtrack.None}
	e.about = &livekit.SimulcastCodecInfo{MimeType: e.codec.MimeType, Cid: cid, Layers: layers}
	e.addCID(cid)
	return e
}

// capability completes a codec's name, such as "vp8" or "video/VP8".
func capability(kind livekit.TrackType, name string) webrtc.RTPCodecCapability {
	if _, after, ok := strings.Cut(name, "/"); ok {
		name = after
	}
	known := []webrtc.RTPCodecCapability{
		{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2},
		{MimeType: codec.MimeRED, ClockRate: 48000, Channels: 2},
		{MimeType: webrtc.MimeTypePCMU, ClockRate: 8000},
		{MimeType: webrtc.MimeTypePCMA, ClockRate: 8000},
	}
	top := "audio/"
	if kind == livekit.TrackType_VIDEO {
		top = "video/"
		known = []webrtc.RTPCodecCapability{
			{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}, {MimeType: webrtc.MimeTypeVP9, ClockRate: 90000},
			{MimeType: webrtc.MimeTypeH264, ClockRate: 90000}, {MimeType: webrtc.MimeTypeAV1, ClockRate: 90000},
		}
	}
	for _, c := range known {
		if strings.EqualFold(c.MimeType, top+name) {
			return c
		}
	}
	return webrtc.RTPCodecCapability{} // some other, which will not be negotiated
}

// newEncodings are the codecs that a request announces, the preferred one first.
func newEncodings(req *livekit.AddTrackRequest) []*encoding {
	first := ""
	if len(req.SimulcastCodecs) > 0 {
		first = req.SimulcastCodecs[0].GetCodec()
	}
	e := newEncoding(req.Type, first, req.Layers, req.Cid)
	e.demanded = downtrack.MaxLayers - 1
	if req.Type == livekit.TrackType_AUDIO && (e.codec.MimeType == "" || e.is(webrtc.MimeTypeOpus)) {
		mime := codec.MimeRED
		if req.DisableRed || req.Stereo || req.Encryption != livekit.Encryption_NONE {
			mime = webrtc.MimeTypeOpus
		}
		e.codec = capability(req.Type, mime)
		e.about.MimeType = e.codec.MimeType
	}
	all := []*encoding{e}
	for i, c := range req.SimulcastCodecs {
		if i == 0 {
			e.addCID(c.GetCid())
			if len(c.GetLayers()) > 0 {
				e.about.Layers = c.GetLayers()
			}
			continue
		}
		backup := newEncoding(req.Type, c.GetCodec(), c.GetLayers(), c.GetCid())
		if backup.codec.MimeType != "" && !slices.ContainsFunc(all, func(o *encoding) bool { return o.is(backup.codec.MimeType) }) {
			all = append(all, backup)
		}
	}
	return all
}

// describe lists the codecs in the description of a track.
func describe(info *livekit.TrackInfo, all []*encoding) {
	info.MimeType, info.Codecs = all[0].codec.MimeType, nil
	for _, e := range all {
		if e.codec.MimeType != "" {
			info.Codecs = append(info.Codecs, proto.CloneOf(e.about))
		}
	}
}

// start takes up what is known from the first stream of an encoding.
func (e *encoding) start(l *receivedLayer) {
	e.codec, e.due = l.codec, false
	e.about.MimeType, e.about.Mid = l.codec.MimeType, l.mid
	if l.cid != e.about.Cid {
		e.about.SdpCid = l.cid
	}
	e.addCID(l.cid)
}

// addCodec announces that a published track comes in another codec too.
func (p *participant) addCodec(req *livekit.AddTrackRequest) {
	with := func(r *livekit.RequestResponse) { r.Request = &livekit.RequestResponse_AddTrack{AddTrack: req} }
	t := p.published[req.Sid]
	switch {
	case t == nil:
		p.refuse(0, livekit.RequestResponse_NOT_FOUND, "no such track of yours: "+req.Sid, with)
		return
	case len(req.SimulcastCodecs) != 1:
		p.refuse(0, livekit.RequestResponse_UNCLASSIFIED_ERROR, "add_track with sid needs one codec", with)
		return
	}
	c := req.SimulcastCodecs[0]
	layers := c.GetLayers()
	if len(layers) == 0 {
		layers = req.Layers
	}
	added := newEncoding(t.info.Type, c.GetCodec(), layers, req.Cid)
	added.addCID(c.GetCid())
	i := slices.IndexFunc(t.encodings, func(e *encoding) bool { return e.is(added.codec.MimeType) })
	switch {
	case added.codec.MimeType == "" || len(added.cids) == 0:
		p.refuse(0, livekit.RequestResponse_UNSUPPORTED_TYPE, "this server does not know the codec", with)
		return
	case i < 0 && len(t.encodings) >= maxCodecs:
		p.refuse(0, livekit.RequestResponse_LIMIT_EXCEEDED, "too many codecs", with)
		return
	case i < 0:
		added.due, added.demanded = true, downtrack.MaxLayers-1
		t.encodings = append(t.encodings, added)
	default:
		e := t.encodings[i]
		for _, cid := range added.cids {
			e.addCID(cid)
		}
		if !e.received() {
			e.due, e.about.Cid, e.about.Layers = true, req.Cid, layers
		}
	}
	describe(t.info, t.encodings)
	p.trackPublished(req.Cid, t.info)
	p.changed()
	p.matchWaiting()
	if i < 0 {
		for _, o := range p.room.participants {
			o.maybeSubscribe(t) // it may have been none of its codecs so far
		}
	}
}

// encodingOf finds where a stream of one of the participant's published tracks
// belongs: by its id, or where a browser changed that, by its codec.
func (p *participant) encodingOf(l *receivedLayer) (*publication, *encoding) {
	for _, t := range p.published {
		for _, e := range t.encodings {
			if t.info.Type == l.kind && slices.Contains(e.cids, l.cid) && e.is(l.codec.MimeType) {
				return t, e
			}
		}
	}
	if slices.ContainsFunc(p.pending, func(t *pendingTrack) bool { return t.has(l) }) {
		return nil, nil
	}
	for _, t := range p.published {
		for _, e := range t.encodings {
			if t.info.Type == l.kind && e.due && e.is(l.codec.MimeType) {
				return t, e
			}
		}
	}
	return nil, nil
}

// assign decides in which of its codecs each subscriber gets the track: in the
// preferred one if it can take that. Unless the publisher wishes to send both at
// once, all who can take the backup get that as soon as one needs it.
func (t *publication) assign() {
	backup := max(t.backupNeeded(), t.backupElsewhere())
	if backup != t.backup || t.p.guest != nil {
		t.backup = backup
		t.p.touch()
	}
	for _, s := range t.subscribers {
		if len(s.can) == 0 {
			continue // not negotiated yet
		}
		s.want = s.can[0]
		if slices.Contains(s.can, backup) && backup != 0 {
			s.want = backup
		}
		e := t.encodings[s.want]
		if s.want == s.uses || !e.received() && slices.Contains(s.can, s.uses) {
			continue // goes on with what there is until it comes
		}
		s.uses = s.want
		s.down.Use(e.downCodec(), e.layers)
	}
}

// backupNeeded is the backup that a subscriber in this room needs and all who can
// are to get with it; 0 if none.
func (t *publication) backupNeeded() (backup int) {
	if t.info.BackupCodecPolicy == livekit.BackupCodecPolicy_SIMULCAST {
		return 0
	}
	for _, s := range t.subscribers {
		if len(s.can) > 0 {
			backup = max(backup, s.can[0])
		}
	}
	return backup
}

// isStereo tells whether a track is sound in stereo.
func isStereo(info *livekit.TrackInfo) bool {
	return info.Stereo || slices.Contains(info.AudioFeatures, livekit.AudioTrackFeature_TF_STEREO)
}

// downCodec is what a subscriber gets of an encoding: sound whether in RED or not.
func (e *encoding) downCodec() webrtc.RTPCodecCapability {
	c := e.codec
	if e.is(codec.MimeRED) || e.is(webrtc.MimeTypeOpus) {
		c.MimeType, c.SDPFmtpLine = webrtc.MimeTypeOpus, ""
	}
	return c
}
