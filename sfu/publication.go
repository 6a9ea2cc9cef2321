package sfu

import (
	"slices"
	"strings"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/livekit/protocol/utils/guid"
	"github.com/pion/webrtc/v4"
	"google.golang.org/protobuf/proto"

	"diemcau/sfu/codec"
	"diemcau/sfu/downtrack"
	"diemcau/sfu/transport"
	"diemcau/sfu/uptrack"
)

// Bounds of what a participant may announce and send.
const (
	maxTracks    = 32  // announced and published
	maxUnmatched = 16  // streams waiting for add_track; more are stopped
	maxCodecs    = 4   // of an announced track
	maxText      = 256 // bytes of an id or name
	maxFeatures  = 16
)

// pendingTrack is announced, but its media has not come yet.
type pendingTrack struct {
	encodings []*encoding
	info      *livekit.TrackInfo
}

// has tells whether a stream is one of the track's, by its id.
func (t *pendingTrack) has(l *receivedLayer) bool {
	return t.info.Type == l.kind &&
		slices.ContainsFunc(t.encodings, func(e *encoding) bool { return slices.Contains(e.cids, l.cid) })
}

// receivedLayer is a stream whose reading has begun.
type receivedLayer struct {
	cid, mid string
	index    int // of the layer: 0 low, 1 medium, 2 high or only
	simul    bool
	codec    webrtc.RTPCodecCapability
	kind     livekit.TrackType
	layer    *uptrack.Layer
	stop     func() // ends the stream
	ended    bool
}

// publication is a published track. The room's loop owns it.
type publication struct {
	*encoding // the preferred one

	p           *participant
	info        *livekit.TrackInfo
	encodings   []*encoding // all, the preferred one first
	subscribers map[*participant]*subscription

	loud   bool      // of audio: among the loudest, which are forwarded
	loudAt time.Time // when it last was

	backup    int           // encoding that all get who can; 0: each its best
	lent      trackLikeness // of a guest: what it resembles
	mutedHere bool          // of a guest: muted in this room only
}

func (t *publication) proto() *livekit.TrackInfo { return proto.CloneOf(t.info) }

// addTrack announces a track; its media follows over the publisher's transport.
func (p *participant) addTrack(req *livekit.AddTrackRequest) {
	with := func(r *livekit.RequestResponse) { r.Request = &livekit.RequestResponse_AddTrack{AddTrack: req} }
	switch {
	case tooLarge(req):
		p.refuse(0, livekit.RequestResponse_LIMIT_EXCEEDED, "too many layers or codecs, or too long a name", nil)
		return
	case req.Sid != "":
		p.addCodec(req)
		return
	case !p.mayPublish(req.Source) || !sourceFits(req.Source, req.Type):
		p.refuse(0, livekit.RequestResponse_NOT_ALLOWED, "does not have permission to publish this source", with)
		return
	case req.Cid == "" || (req.Type != livekit.TrackType_AUDIO && req.Type != livekit.TrackType_VIDEO):
		p.refuse(0, livekit.RequestResponse_UNCLASSIFIED_ERROR, "add_track needs cid and type", with)
		return
	case len(p.pending)+len(p.published) >= maxTracks:
		p.refuse(0, livekit.RequestResponse_LIMIT_EXCEEDED, "too many tracks", with)
		return
	}
	for _, t := range p.pending {
		if slices.Contains(t.encodings[0].cids, req.Cid) {
			p.trackPublished(req.Cid, t.info)
			return
		}
	}
	t := &pendingTrack{encodings: newEncodings(req), info: newTrackInfo(req)}
	describe(t.info, t.encodings)
	p.pending = append(p.pending, t)
	p.trackPublished(req.Cid, t.info)
	p.matchWaiting()
}

// matchWaiting looks again at the media that came before its announcement.
func (p *participant) matchWaiting() {
	waiting := p.unmatched
	p.unmatched = nil
	for _, l := range waiting {
		p.addLayer(l)
	}
}

func newTrackInfo(req *livekit.AddTrackRequest) *livekit.TrackInfo {
	return &livekit.TrackInfo{
		Sid: guid.New("TR_"), Type: req.Type, Name: req.Name, Muted: req.Muted,
		Width: req.Width, Height: req.Height, Source: req.Source, Layers: req.Layers,
		Simulcast:  len(req.Layers) > 1,
		DisableDtx: req.DisableDtx, Stereo: req.Stereo, DisableRed: req.DisableRed,
		Encryption: req.Encryption, Stream: req.Stream, AudioFeatures: req.AudioFeatures,
		BackupCodecPolicy: req.BackupCodecPolicy,
	}
}

func (p *participant) trackPublished(cid string, info *livekit.TrackInfo) {
	p.send(&livekit.SignalResponse{Message: &livekit.SignalResponse_TrackPublished{
		TrackPublished: &livekit.TrackPublishedResponse{Cid: cid, Track: proto.CloneOf(info)},
	}})
}

func (p *participant) mayPublish(source livekit.TrackSource) bool {
	return p.perm.CanPublish &&
		(len(p.perm.CanPublishSources) == 0 || slices.Contains(p.perm.CanPublishSources, source))
}

// sourceFits checks that a source is of a kind it can be of.
func sourceFits(source livekit.TrackSource, kind livekit.TrackType) bool {
	switch source {
	case livekit.TrackSource_MICROPHONE, livekit.TrackSource_SCREEN_SHARE_AUDIO:
		return kind == livekit.TrackType_AUDIO
	case livekit.TrackSource_CAMERA, livekit.TrackSource_SCREEN_SHARE:
		return kind == livekit.TrackType_VIDEO
	}
	return true
}

// tooLarge checks what is kept of an announcement and told to everybody.
func tooLarge(req *livekit.AddTrackRequest) bool {
	large := len(req.Cid) > maxText || len(req.Name) > maxText || len(req.Stream) > maxText ||
		len(req.Layers) > downtrack.MaxLayers || len(req.SimulcastCodecs) > maxCodecs ||
		len(req.AudioFeatures) > maxFeatures
	for _, l := range req.Layers {
		large = large || len(l.GetRid()) > maxText
	}
	for _, c := range req.SimulcastCodecs {
		large = large || len(c.GetCodec()) > maxText || len(c.GetCid()) > maxText || len(c.GetLayers()) > downtrack.MaxLayers
		for _, l := range c.GetLayers() {
			large = large || len(l.GetRid()) > maxText
		}
	}
	return large
}

func (p *participant) pendingTrack(sid string) *pendingTrack {
	for _, t := range p.pending {
		if t.info.Sid == sid {
			return t
		}
	}
	return nil
}

// onTrack begins to read a stream; it is called on a goroutine of the
// transport's.
func (p *participant) onTrack(remote *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
	l := &receivedLayer{
		cid: remote.ID(), index: layerIndex(remote.RID()), simul: remote.RID() != "",
		codec: remote.Codec().RTPCodecCapability, kind: livekit.TrackType_VIDEO,
	}
	if remote.Kind() == webrtc.RTPCodecTypeAudio {
		l.kind = livekit.TrackType_AUDIO
	}
	if tr := receiver.RTPTransceiver(); tr != nil {
		l.mid = tr.Mid()
	}
	cfg := uptrack.Config{
		SSRC: uint32(remote.SSRC()), Mime: strings.ToLower(l.codec.MimeType), ClockRate: l.codec.ClockRate,
		Stream: remote, WriteRTCP: p.pub.Ask, Log: p.log,
		NACK: slices.ContainsFunc(l.codec.RTCPFeedback, func(f webrtc.RTCPFeedback) bool {
			return f.Type == webrtc.TypeRTCPFBNACK && f.Parameter == ""
		}),
		Repairs: func() bool {
			rtx := uint32(remote.RtxSSRC())
			return rtx != 0 && p.pub.Repairs(rtx, uint32(remote.SSRC()))
		},
		Ended: func() { p.room.post(func() { p.layerEnded(l) }) },
	}
	l.stop = func() {
		if err := receiver.Stop(); err != nil {
			p.log.Debug("stopping a stream", "err", err)
		}
	}
	if l.kind == livekit.TrackType_AUDIO {
		cfg.Onset = p.onset
	}
	for _, e := range receiver.GetParameters().HeaderExtensions {
		switch e.URI {
		case transport.AudioLevelURI:
			cfg.LevelID = uint8(e.ID)
		case codec.DependencyDescriptorURI:
			cfg.DescriptorID = uint8(e.ID)
		}
	}
	layer := uptrack.Start(cfg, p.room.node.fan)
	p.pub.Take(cfg.SSRC, layer.Take, layer.Reported)
	p.room.post(func() {
		l.layer = layer
		p.addLayer(l)
	})
}

func layerIndex(rid string) int {
	switch rid {
	case "q":
		return 0
	case "h":
		return 1
	}
	return downtrack.MaxLayers - 1 // "f", or the only layer
}

// addLayer gives a stream to the track it belongs to: by the id in its SDP, or
// where a browser changed that, the oldest announced track of its kind.
func (p *participant) addLayer(l *receivedLayer) {
	if p.closed || l.ended {
		p.room.node.cleanup(l.layer.Wait)
		return
	}
	if !p.perm.CanPublish {
		p.log.Warn("media without permission to publish stopped", "cid", l.cid)
		p.drop(l)
		return
	}
	if t, e := p.encodingOf(l); t != nil {
		t.setLayer(e, l)
		return
	}
	i := slices.IndexFunc(p.pending, func(t *pendingTrack) bool { return t.has(l) })
	if i < 0 {
		i = slices.IndexFunc(p.pending, func(t *pendingTrack) bool { return t.info.Type == l.kind })
	}
	if i < 0 {
		if len(p.unmatched) >= maxUnmatched {
			p.log.Warn("media that was not announced stopped", "cid", l.cid)
			p.drop(l)
			return
		}
		p.unmatched = append(p.unmatched, l) // add_track may follow
		return
	}
	pending := p.pending[i]
	p.pending = slices.Delete(p.pending, i, i+1)
	p.publish(pending, l)
}

// drop ends a stream that belongs to no track.
func (p *participant) drop(l *receivedLayer) {
	p.room.node.cleanup(func() {
		l.stop()
		l.layer.Wait()
	})
}

// publish makes an announced track known to the room.
func (p *participant) publish(pending *pendingTrack, l *receivedLayer) {
	t := &publication{
		p: p, info: pending.info, encodings: pending.encodings, encoding: pending.encodings[0],
		subscribers: make(map[*participant]*subscription),
	}
	t.start(l) // in whatever codec it came
	t.encodings = slices.DeleteFunc(t.encodings, func(e *encoding) bool {
		return e != t.encoding && e.is(l.codec.MimeType)
	})
	describe(t.info, t.encodings)
	t.info.Mid = l.mid
	t.setLayer(t.encoding, l)
	p.room.node.met.tracks.Inc()
	p.introduce(t)
}

// introduce makes a track of p's known to the room.
func (p *participant) introduce(t *publication) {
	p.published[t.info.Sid] = t
	p.room.tracks[t.info.Sid] = t
	p.log.Info("track published", "track", t.info.Sid, "source", t.info.Source, "codec", t.codec.MimeType)
	p.version++
	p.room.broadcast(p)
	p.room.emit(eventTrackPublished, p, t)
	p.room.updateLoudest()
	for _, o := range p.room.participants {
		o.maybeSubscribe(t)
	}
}

func (t *publication) setLayer(e *encoding, l *receivedLayer) {
	if old := e.layers[l.index]; old != nil {
		t.p.room.node.cleanup(old.Wait)
	}
	first := !e.received()
	e.layers[l.index], e.stops[l.index] = l.layer, l.stop
	if first && e != t.encoding {
		e.start(l)
		describe(t.info, t.encodings)
		t.p.log.Info("track published in another codec", "track", t.info.Sid, "codec", l.codec.MimeType)
		t.p.changed()
	}
	t.tellLayer(e, l.index)
	if first {
		t.assign()
	}
	t.p.touch()
}

// tellLayer has those who get the track in an encoding get its layer i as it is now.
func (t *publication) tellLayer(e *encoding, i int) {
	for _, s := range t.subscribers {
		if t.encodings[s.uses] == e {
			s.setLayer(i, e.layers[i])
		}
	}
}

// layerEnded is called when a stream has ended; the track goes with its last.
func (p *participant) layerEnded(l *receivedLayer) {
	l.ended = true
	if p.closed || l.layer == nil {
		return
	}
	if i := slices.Index(p.unmatched, l); i >= 0 {
		p.unmatched = slices.Delete(p.unmatched, i, i+1)
		p.room.node.cleanup(l.layer.Wait)
		return
	}
	for _, t := range p.published {
		for _, e := range t.encodings {
			if i := slices.Index(e.layers[:], l.layer); i >= 0 {
				p.room.node.cleanup(l.layer.Wait)
				t.clearLayer(e, i)
				return
			}
		}
	}
}

// clearLayer takes an ended layer out; the track goes with its last.
func (t *publication) clearLayer(e *encoding, i int) {
	e.layers[i] = nil
	t.tellLayer(e, i)
	t.p.touch()
	if slices.ContainsFunc(t.encodings, (*encoding).received) {
		return
	}
	p := t.p
	p.log.Info("track unpublished", "track", t.info.Sid)
	p.room.unpublish(t)
	p.send(&livekit.SignalResponse{Message: &livekit.SignalResponse_TrackUnpublished{
		TrackUnpublished: &livekit.TrackUnpublishedResponse{TrackSid: t.info.Sid},
	}})
	p.version++
	p.room.broadcast(p)
}

// unpublish takes a track and all its subscriptions out of the room.
func (r *Room) unpublish(t *publication) {
	for _, s := range t.subscribers {
		r.unsubscribe(s)
	}
	for _, e := range t.encodings {
		for i, l := range e.layers {
			if l != nil && t.p.guest == nil { // else its source's room waits for it
				r.node.cleanup(l.Wait)
			}
			e.layers[i] = nil
		}
	}
	delete(r.tracks, t.info.Sid)
	for _, o := range r.participants {
		delete(o.declined, t.info.Sid)
		delete(o.spared, t.info.Sid)
		delete(o.disabled, t.info.Sid)
	}
	delete(t.p.published, t.info.Sid)
	if t.loud {
		r.updateLoudest()
	}
	if t.p.guest == nil {
		r.node.met.tracks.Dec()
	}
	r.emit(eventTrackUnpublished, t.p, t)
}

// tidy has the track keep no packets that nobody is likely to ask for.
func (t *publication) tidy(now time.Time) {
	if t.p.guest != nil {
		return // its source's room does
	}
	for _, e := range t.encodings {
		for _, l := range e.layers {
			if l != nil {
				l.Tidy(now)
			}
		}
	}
}

// mute notes that the publisher muted or unmuted a track.
func (p *participant) mute(m *livekit.MuteTrackRequest) {
	if t := p.pendingTrack(m.Sid); t != nil {
		t.info.Muted = m.Muted
		return
	}
	t := p.ownTrack(m.Sid, func(r *livekit.RequestResponse) { r.Request = &livekit.RequestResponse_Mute{Mute: m} })
	if t == nil || t.info.Muted == m.Muted {
		return
	}
	t.setMuted(m.Muted)
	p.changed()
}

// muteAndTell mutes the track for everybody, or takes that back, and tells them at once.
func (t *publication) muteAndTell(muted bool) {
	if t.info.Muted != muted {
		t.setMuted(muted)
		t.p.version++
		t.p.room.broadcast(t.p)
	}
}

func (t *publication) setMuted(muted bool) {
	t.info.Muted = muted
	t.p.touch()
	t.refresh()
	t.p.room.updateLoudest()
}

// ownTrack finds a track of the participant's own; if there is none it says so.
func (p *participant) ownTrack(sid string, with func(*livekit.RequestResponse)) *publication {
	t := p.published[sid]
	if t == nil {
		p.refuse(0, livekit.RequestResponse_NOT_FOUND, "no such track of yours: "+sid, with)
	}
	return t
}

func (p *participant) updateAudioTrack(m *livekit.UpdateLocalAudioTrack) {
	if len(m.Features) > maxFeatures {
		p.refuse(0, livekit.RequestResponse_LIMIT_EXCEEDED, "too many audio features", nil)
		return
	}
	if t := p.pendingTrack(m.TrackSid); t != nil {
		t.info.AudioFeatures = m.Features
		return
	}
	t := p.ownTrack(m.TrackSid, func(r *livekit.RequestResponse) {
		r.Request = &livekit.RequestResponse_UpdateAudioTrack{UpdateAudioTrack: m}
	})
	if t != nil {
		t.info.AudioFeatures = m.Features
		p.changed()
	}
}

func (p *participant) updateVideoTrack(m *livekit.UpdateLocalVideoTrack) {
	if t := p.pendingTrack(m.TrackSid); t != nil {
		t.info.Width, t.info.Height = m.Width, m.Height
		return
	}
	t := p.ownTrack(m.TrackSid, func(r *livekit.RequestResponse) {
		r.Request = &livekit.RequestResponse_UpdateVideoTrack{UpdateVideoTrack: m}
	})
	if t != nil {
		t.info.Width, t.info.Height = m.Width, m.Height
		p.changed()
	}
}
