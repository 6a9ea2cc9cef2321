package light

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Kinds of a media section.
const (
	kindAudio = "audio"
	kindVideo = "video"
	kindData  = "application"
)

// Header extensions, and the numbers they have in our offers, those of Chromium.
const (
	uriMid   = "urn:ietf:params:rtp-hdrext:sdes:mid"
	uriRID   = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
	uriRRID  = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
	uriLevel = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
	uriTWCC  = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
	extLevel = 1
	extTWCC  = 3
	extMid   = 4
	extRID   = 10
	extRRID  = 11
	ptOpus   = 111
)

// Names of codecs in SDP.
const (
	nameOpus = "opus"
	nameRTX  = "rtx"
)

// format is a payload type of an offer of ours.
type format struct {
	pt, rtx uint8
	name    string // as in rtpmap
	fmtp    string
}

// videoFormats are offered, with the payload types of Chromium where it has them. AV1
// is not: no trace has it.
var videoFormats = []format{
	{96, 97, "VP8", ""},
	{98, 99, "VP9", "profile-id=0"},
	{108, 109, "H264", "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"},
	{102, 103, "H264", "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f"},
	{125, 107, "H264", "level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f"},
}

// section is a media section of our offers.
type section struct {
	mid, kind string
	pub       *Publication // what is sent in it; nil: it is there to receive
}

// offer writes SDP with the sections in their order.
func (l *link) offer(sections []*section, version uint64) (string, error) {
	var b sdpWriter
	mids := make([]string, 0, len(sections))
	for _, s := range sections {
		mids = append(mids, s.mid)
	}
	b.line("v=0", fmt.Sprintf("o=- %d %d IN IP4 127.0.0.1", sessionID, version), "s=-", "t=0 0",
		"a=group:BUNDLE "+strings.Join(mids, " "), "a=extmap-allow-mixed", "a=msid-semantic: WMS")
	for _, s := range sections {
		b.section(s)
		if err := l.transportLines(&b, "actpass"); err != nil {
			return "", err
		}
	}
	return b.String(), nil
}

// sessionID of our SDP need only differ from those of a client's other connections.
const sessionID = 4611731400430051336

type sdpWriter struct{ strings.Builder }

func (b *sdpWriter) line(lines ...string) {
	for _, l := range lines {
		b.WriteString(l)
		b.WriteString("\r\n")
	}
}

func (b *sdpWriter) section(s *section) {
	if s.kind == kindData {
		b.line("m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "c=IN IP4 0.0.0.0", "a=mid:"+s.mid,
			"a=sctp-port:5000", "a=max-message-size:262144")
		return
	}
	formats := videoFormats
	if s.kind == kindAudio {
		formats = []format{{ptOpus, 0, nameOpus, "minptime=10;useinbandfec=1"}}
	} else if s.pub != nil {
		formats = slices.Clone(formats) // what is to be sent comes first
		slices.SortStableFunc(formats, func(a, z format) int { return s.pub.rank(a) - s.pub.rank(z) })
	}
	pts := ""
	for _, f := range formats {
		pts += " " + strconv.Itoa(int(f.pt))
		if f.rtx != 0 {
			pts += " " + strconv.Itoa(int(f.rtx))
		}
	}
	b.line("m="+s.kind+" 9 UDP/TLS/RTP/SAVPF"+pts, "c=IN IP4 0.0.0.0", "a=rtcp:9 IN IP4 0.0.0.0",
		"a=mid:"+s.mid, "a=rtcp-mux", "a=rtcp-rsize")
	ext := func(id int, uri string) { b.line(fmt.Sprintf("a=extmap:%d %s", id, uri)) }
	ext(extTWCC, uriTWCC)
	ext(extMid, uriMid)
	if s.kind == kindAudio {
		ext(extLevel, uriLevel)
	} else {
		ext(extRID, uriRID)
		ext(extRRID, uriRRID)
	}
	for _, f := range formats {
		b.format(s.kind, f)
	}
	if s.pub == nil {
		b.line("a=recvonly")
		return
	}
	b.line("a=sendonly")
	s.pub.describe(b)
}

func (b *sdpWriter) format(kind string, f format) {
	if kind == kindAudio {
		b.line(fmt.Sprintf("a=rtpmap:%d opus/48000/2", f.pt), fmt.Sprintf("a=rtcp-fb:%d transport-cc", f.pt),
			fmt.Sprintf("a=rtcp-fb:%d nack", f.pt), fmt.Sprintf("a=fmtp:%d %s", f.pt, f.fmtp))
		return
	}
	b.line(fmt.Sprintf("a=rtpmap:%d %s/90000", f.pt, f.name))
	for _, feedback := range []string{"transport-cc", "ccm fir", "nack", "nack pli"} {
		b.line(fmt.Sprintf("a=rtcp-fb:%d %s", f.pt, feedback))
	}
	if f.fmtp != "" {
		b.line(fmt.Sprintf("a=fmtp:%d %s", f.pt, f.fmtp))
	}
	b.line(fmt.Sprintf("a=rtpmap:%d rtx/90000", f.rtx), fmt.Sprintf("a=fmtp:%d apt=%d", f.rtx, f.pt))
}

// transportLines writes what all sections of a bundle have in common.
func (l *link) transportLines(b *sdpWriter, setup string) error {
	ufrag, pwd, err := l.credentials()
	if err != nil {
		return err
	}
	b.line("a=ice-ufrag:"+ufrag, "a=ice-pwd:"+pwd, "a=ice-options:trickle", "a=fingerprint:"+l.cert.fingerprint, "a=setup:"+setup)
	for _, c := range l.local {
		b.line("a=candidate:" + c)
	}
	return nil
}

// answer writes the answer to an offer of the server's: all that it has is taken.
func (l *link) answer(offer string, version uint64) (string, error) {
	var b sdpWriter
	b.line("v=0", fmt.Sprintf("o=- %d %d IN IP4 127.0.0.1", sessionID, version), "s=-", "t=0 0")
	media := false
	for line := range strings.Lines(offer) {
		line = strings.TrimRight(line, "\r\n")
		if strings.HasPrefix(line, "m=") {
			if media {
				if err := l.transportLines(&b, "active"); err != nil {
					return "", err
				}
			}
			media = true
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(line, "a="), ":")
		switch {
		case strings.HasPrefix(line, "m="), media && strings.HasPrefix(line, "c="):
			b.line(line)
		case !strings.HasPrefix(line, "a="):
		case !media && (name == "group" || name == "extmap-allow-mixed" || name == "msid-semantic"):
			b.line(line)
		case media && slices.Contains(mirrored, name):
			b.line(line)
		case media && name == "sendonly", media && name == "sendrecv":
			b.line("a=recvonly")
		case media && name == "inactive":
			b.line(line)
		}
	}
	if !media {
		return "", fmt.Errorf("light: an offer without media")
	}
	if err := l.transportLines(&b, "active"); err != nil {
		return "", err
	}
	return b.String(), nil
}

// mirrored are the attributes of a section that an answer repeats when it takes all.
var mirrored = []string{"mid", "rtcp-mux", "rtcp-rsize", "rtpmap", "fmtp", "rtcp-fb", "extmap", "sctp-port", "max-message-size"}
