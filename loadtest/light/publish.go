package light

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/livekit/protocol/livekit"

	"diemcau/loadtest/trace"
)

// Source makes the frames of a layer. Next belongs to the media clock.
type Source interface {
	Next() *trace.Sample
	RequestKeyFrame()
}

// LayerOptions describe one RTP stream of a publication.
type LayerOptions struct {
	Quality       livekit.VideoQuality
	Width, Height uint32
	Bitrate       uint32 // bit/s
	Source        Source
}

// TrackOptions describe a publication.
type TrackOptions struct {
	Name   string
	Source livekit.TrackSource
	// Codec as in SDP: VP8, VP9, H264 or opus.
	Codec string
	// Layers are those of a simulcast, the smallest first, or one; of sound it is one.
	Layers []LayerOptions
	// Muted says that it is to begin so.
	Muted bool
}

// Publication is a track that a participant sends.
type Publication struct {
	p      *Participant
	o      TrackOptions
	cid    string
	mid    string
	layers []*layer
	silent *Voice // of sound; else nil
	late   lateness

	// The negotiating goroutines own these, under Participant.negMu.
	sid     string
	refused error
	ready   chan struct{} // closed when sid or refused is set
	sending bool
}

// errRefused wraps what a server says against a publication.
var errRefused = errors.New("light: the server refuses the track")

// rids of the layers of a simulcast, the smallest first.
var rids = [...]string{"q", "h", "f"}

// Publish announces a track and begins to send it. Errors: the server refuses it, or ctx
// ends first.
func (p *Participant) Publish(ctx context.Context, o TrackOptions) (*Publication, error) {
	if len(o.Layers) == 0 || len(o.Layers) > len(rids) {
		return nil, fmt.Errorf("light: %d layers", len(o.Layers))
	}
	t := &Publication{p: p, o: o, cid: fmt.Sprintf("%s-%08x", o.Name, rand.Uint32()), ready: make(chan struct{})} //nolint:gosec // no secret
	for i, lo := range o.Layers {
		rid := ""
		if len(o.Layers) > 1 {
			rid = rids[i]
		}
		t.layers = append(t.layers, newLayer(t, lo, rid))
	}
	t.silent, _ = o.Layers[0].Source.(*Voice)
	if err := p.announce(t); err != nil {
		return nil, err
	}
	select {
	case <-t.ready:
		p.negMu.Lock()
		defer p.negMu.Unlock()
		return t, t.refused
	case <-p.over:
		return nil, p.Err()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// announce adds the track to the server's and to our next offer.
func (p *Participant) announce(t *Publication) error {
	kind := livekit.TrackType_VIDEO
	section := kindVideo
	if t.silent != nil {
		kind, section = livekit.TrackType_AUDIO, kindAudio
	}
	request := &livekit.AddTrackRequest{
		Cid: t.cid, Name: t.o.Name, Type: kind, Source: t.o.Source, Muted: t.o.Muted, DisableRed: true,
	}
	if t.silent == nil {
		top := t.o.Layers[len(t.o.Layers)-1]
		request.Width, request.Height = top.Width, top.Height
		for _, l := range t.o.Layers {
			request.Layers = append(request.Layers, &livekit.VideoLayer{Quality: l.Quality, Width: l.Width, Height: l.Height, Bitrate: l.Bitrate})
		}
		request.SimulcastCodecs = []*livekit.SimulcastCodec{{Codec: strings.ToLower(t.o.Codec), Cid: t.cid}}
	}
	p.negMu.Lock()
	defer p.negMu.Unlock()
	if err := p.conn.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_AddTrack{AddTrack: request}}); err != nil {
		return err
	}
	p.addSections(section, 1)
	s := p.sections[len(p.sections)-1]
	s.pub, t.mid = t, s.mid
	p.pubs = append(p.pubs, t)
	p.layersMu.Lock()
	for _, y := range t.layers {
		p.layers[y.ssrc] = y
	}
	p.layersMu.Unlock()
	return p.offerLocked()
}

// published takes the server's word that a track is there.
func (p *Participant) published(cid string, info *livekit.TrackInfo) {
	p.negMu.Lock()
	defer p.negMu.Unlock()
	for _, t := range p.pubs {
		if t.cid == cid && t.sid == "" && t.refused == nil {
			t.sid = info.GetSid()
			p.group.mu.Lock()
			p.group.published[t.sid] = &t.late
			p.group.mu.Unlock()
			close(t.ready)
		}
	}
}

// refusal takes the server's word that a track is not to be.
func (p *Participant) refusal(r *livekit.RequestResponse) {
	add, ok := r.Request.(*livekit.RequestResponse_AddTrack)
	if !ok || r.Reason == livekit.RequestResponse_OK || r.Reason == livekit.RequestResponse_QUEUED {
		return
	}
	p.negMu.Lock()
	defer p.negMu.Unlock()
	for _, t := range p.pubs {
		if t.cid == add.AddTrack.GetCid() && t.sid == "" && t.refused == nil {
			t.refused = fmt.Errorf("%w: %s %s", errRefused, r.Reason, r.Message)
			close(t.ready)
		}
	}
}

// SID is the server's name for the track.
func (t *Publication) SID() string {
	t.p.negMu.Lock()
	defer t.p.negMu.Unlock()
	return t.sid
}

// Mute tells the server that the track is silent, or that it is not, and makes it so.
func (t *Publication) Mute(muted bool) error {
	if t.silent != nil {
		t.silent.Speak(!muted)
	}
	return t.p.request(&livekit.SignalRequest{Message: &livekit.SignalRequest_Mute{
		Mute: &livekit.MuteTrackRequest{Sid: t.SID(), Muted: muted},
	}})
}

// describe writes what is particular to the track's section.
func (t *Publication) describe(b *sdpWriter) {
	b.line("a=msid:" + t.p.o.Identity + " " + t.cid)
	if len(t.layers) == 1 {
		y := t.layers[0]
		if t.silent == nil {
			b.line(fmt.Sprintf("a=ssrc-group:FID %d %d", y.ssrc, y.rtxSSRC))
		}
		b.line(fmt.Sprintf("a=ssrc:%d cname:light", y.ssrc), fmt.Sprintf("a=ssrc:%d msid:%s %s", y.ssrc, t.p.o.Identity, t.cid))
		if t.silent == nil {
			b.line(fmt.Sprintf("a=ssrc:%d cname:light", y.rtxSSRC), fmt.Sprintf("a=ssrc:%d msid:%s %s", y.rtxSSRC, t.p.o.Identity, t.cid))
		}
		return
	}
	names := make([]string, 0, len(t.layers))
	for _, y := range t.layers {
		b.line("a=rid:" + y.rid + " send")
		names = append(names, y.rid)
	}
	b.line("a=simulcast:send " + strings.Join(names, ";"))
}

// rank puts the formats of the track's codec first.
func (t *Publication) rank(f format) int {
	if strings.EqualFold(f.name, t.o.Codec) {
		return 0
	}
	return 1
}

// accepted looks for the track's section in an answer and begins to send.
func (t *Publication) accepted(d *description) {
	select {
	case <-t.p.left:
		return
	default:
	}
	if t.sending {
		return
	}
	for i := range d.sections {
		s := &d.sections[i]
		if s.mid != t.mid || s.rejected {
			continue
		}
		c, ok := t.agreed(s)
		if !ok {
			if t.sid == "" && t.refused == nil {
				t.refused = fmt.Errorf("%w: it does not take %s", errRefused, t.o.Codec)
				close(t.ready)
			}
			return
		}
		t.sending = true
		begin := time.Now()
		for _, y := range t.layers {
			y.start(c, begin)
		}
	}
}

// agreement is what the answer says of how to send.
type agreement struct {
	pt, rtx                     uint8
	mid, rid, rrid, level, twcc uint8 // header extensions, 0: not wanted
}

func (t *Publication) agreed(s *remoteSection) (agreement, bool) {
	a := agreement{mid: s.ext[uriMid], rid: s.ext[uriRID], rrid: s.ext[uriRRID], level: s.ext[uriLevel], twcc: s.ext[uriTWCC]}
	for _, pt := range s.formats {
		if strings.EqualFold(s.codecs[pt].name, t.o.Codec) {
			a.pt = pt
			break
		}
	}
	for _, pt := range s.formats {
		if s.codecs[pt].name == nameRTX && s.codecs[pt].apt == a.pt {
			a.rtx = pt
		}
	}
	return a, a.pt != 0
}

// wantedLayers is dynacast: layers that nobody wants are not sent.
func (p *Participant) wantedLayers(u *livekit.SubscribedQualityUpdate) {
	if !p.o.Dynacast {
		return
	}
	p.negMu.Lock()
	defer p.negMu.Unlock()
	for _, t := range p.pubs {
		if t.sid != u.GetTrackSid() {
			continue
		}
		qualities := u.GetSubscribedQualities() // what servers before codecs say
		for _, c := range u.GetSubscribedCodecs() {
			if strings.EqualFold(c.GetCodec(), t.o.Codec) {
				qualities = c.GetQualities()
			}
		}
		for _, q := range qualities {
			for _, y := range t.layers {
				if len(t.layers) > 1 && y.o.Quality == q.GetQuality() {
					y.enable(q.GetEnabled())
				}
			}
		}
	}
}

// stop ends sending. It may be called twice.
func (t *Publication) stop() {
	for _, y := range t.layers {
		y.stop()
	}
}

// PublishStats are the sums of what was sent.
type PublishStats struct {
	Packets, Bytes uint64
	// Resent were asked for again; Gone of those were too old to be resent.
	Resent, Gone uint64
	KeyAsked     uint64 // requests for key frames
	KeyFrames    uint64
	// Behind counts the frames that were sent more than 20 ms late: the tester was busy.
	Behind uint64
}

// Add makes sums.
func (s *PublishStats) Add(o PublishStats) {
	s.Packets += o.Packets
	s.Bytes += o.Bytes
	s.Resent += o.Resent
	s.Gone += o.Gone
	s.KeyAsked += o.KeyAsked
	s.KeyFrames += o.KeyFrames
	s.Behind += o.Behind
}

// Sent are the sums of all publications.
func (p *Participant) Sent() PublishStats {
	p.negMu.Lock()
	defer p.negMu.Unlock()
	var sum PublishStats
	for _, t := range p.pubs {
		for _, y := range t.layers {
			sum.Add(y.sum())
		}
	}
	return sum
}
