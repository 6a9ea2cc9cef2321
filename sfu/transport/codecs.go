package transport

import (
	"slices"
	"strings"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"diemcau/sfu/codec"
)

// AudioLevelURI is the client-to-mixer audio level extension (RFC 6464).
const AudioLevelURI = sdp.AudioLevelURI

// repairedRIDURI is the repaired-rtp-stream-id extension (RFC 8852).
const repairedRIDURI = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"

type videoCodec struct {
	mime, fmtp string
	pt, rtx    webrtc.PayloadType
}

// videoCodecs lists what a room accepts; an RTX format (RFC 4588) goes with
// each. H.264 profiles as browsers and room terminals offer them, with
// packetization-mode 1 and 0 (RFC 6184 section 8.1).
var videoCodecs = []videoCodec{
	{webrtc.MimeTypeVP8, "", 96, 97},
	{webrtc.MimeTypeH264, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f", 125, 107},
	{webrtc.MimeTypeH264, "level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f", 108, 109},
	{webrtc.MimeTypeH264, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f", 102, 103},
	{webrtc.MimeTypeH264, "level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42001f", 104, 105},
	{webrtc.MimeTypeH264, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=640032", 123, 118},
	{webrtc.MimeTypeVP9, "profile-id=0", 98, 99},
	{webrtc.MimeTypeAV1, "", 45, 46},
}

func newMediaEngine() (*webrtc.MediaEngine, error) {
	m := &webrtc.MediaEngine{}
	if err := m.RegisterCodec(webrtc.RTPCodecParameters{
		RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2,
			SDPFmtpLine:  "minptime=10;useinbandfec=1",
			RTCPFeedback: []webrtc.RTCPFeedback{{Type: "nack"}, {Type: "transport-cc"}},
		},
		PayloadType: 111,
	}, webrtc.RTPCodecTypeAudio); err != nil {
		return nil, err
	}
	if err := m.RegisterCodec(webrtc.RTPCodecParameters{
		RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType: codec.MimeRED, ClockRate: 48000, Channels: 2, SDPFmtpLine: "111/111",
			RTCPFeedback: []webrtc.RTCPFeedback{{Type: "nack"}, {Type: "transport-cc"}},
		},
		PayloadType: 63,
	}, webrtc.RTPCodecTypeAudio); err != nil {
		return nil, err
	}
	for _, c := range []struct {
		mime string
		pt   webrtc.PayloadType // RFC 3551 section 6
	}{{webrtc.MimeTypePCMU, 0}, {webrtc.MimeTypePCMA, 8}} {
		if err := m.RegisterCodec(webrtc.RTPCodecParameters{
			RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: c.mime, ClockRate: 8000},
			PayloadType:        c.pt,
		}, webrtc.RTPCodecTypeAudio); err != nil {
			return nil, err
		}
	}
	feedback := []webrtc.RTCPFeedback{
		{Type: "transport-cc"}, {Type: "ccm", Parameter: "fir"}, {Type: "nack"}, {Type: "nack", Parameter: "pli"},
	}
	for _, c := range videoCodecs {
		if err := m.RegisterCodec(webrtc.RTPCodecParameters{
			RTPCodecCapability: webrtc.RTPCodecCapability{
				MimeType: c.mime, ClockRate: 90000, SDPFmtpLine: c.fmtp, RTCPFeedback: feedback,
			},
			PayloadType: c.pt,
		}, webrtc.RTPCodecTypeVideo); err != nil {
			return nil, err
		}
		if err := m.RegisterCodec(webrtc.RTPCodecParameters{
			RTPCodecCapability: webrtc.RTPCodecCapability{
				MimeType: webrtc.MimeTypeRTX, ClockRate: 90000, SDPFmtpLine: "apt=" + itoa(c.pt),
			},
			PayloadType: c.rtx,
		}, webrtc.RTPCodecTypeVideo); err != nil {
			return nil, err
		}
	}
	return m, registerExtensions(m)
}

func registerExtensions(m *webrtc.MediaEngine) error {
	recv := webrtc.RTPTransceiverDirectionRecvonly
	both := []webrtc.RTPTransceiverDirection{recv, webrtc.RTPTransceiverDirectionSendonly}
	for _, e := range []struct {
		uri        string
		kind       webrtc.RTPCodecType
		directions []webrtc.RTPTransceiverDirection
	}{
		{sdp.SDESMidURI, webrtc.RTPCodecTypeAudio, both},
		{sdp.TransportCCURI, webrtc.RTPCodecTypeAudio, both},
		{sdp.AudioLevelURI, webrtc.RTPCodecTypeAudio, both[:1]},
		{sdp.SDESMidURI, webrtc.RTPCodecTypeVideo, both},
		{sdp.SDESRTPStreamIDURI, webrtc.RTPCodecTypeVideo, both[:1]},
		{repairedRIDURI, webrtc.RTPCodecTypeVideo, both[:1]},
		{sdp.TransportCCURI, webrtc.RTPCodecTypeVideo, both},
		{codec.DependencyDescriptorURI, webrtc.RTPCodecTypeVideo, both},
	} {
		if err := m.RegisterHeaderExtension(
			webrtc.RTPHeaderExtensionCapability{URI: e.uri}, e.kind, e.directions...); err != nil {
			return err
		}
	}
	return nil
}

// Wanted is how a client is to send a track.
type Wanted struct {
	Mime   string // the codec; "" for any
	Stereo bool   // of Opus
}

// preferCodecs puts the preferred codec of each offered track first in our
// answer: clients send in the first one.
func (t *Transport) preferCodecs(offer *sdp.SessionDescription, tracks map[string]Wanted) {
	if len(tracks) == 0 {
		return
	}
	byMid := make(map[string]*webrtc.RTPTransceiver)
	for _, tr := range t.pc.GetTransceivers() {
		byMid[tr.Mid()] = tr
	}
	for _, m := range offer.MediaDescriptions {
		mid, _ := m.Attribute(sdp.AttrKeyMID)
		msid, _ := m.Attribute(sdp.AttrKeyMsid)
		_, track, _ := strings.Cut(msid, " ")
		tr := byMid[mid]
		if mime := tracks[track].Mime; mime != "" && tr != nil && tr.Receiver() != nil {
			if err := tr.SetCodecPreferences(withFirst(tr.Receiver().GetParameters().Codecs, mime)); err != nil {
				t.log.Warn("codec preference", "mime", mime, "err", err)
			}
		}
	}
}

// withFirst moves the formats of a codec, and the RTX formats that repair them,
// to the front.
func withFirst(codecs []webrtc.RTPCodecParameters, mime string) []webrtc.RTPCodecParameters {
	apt := make(map[string]bool)
	for _, c := range codecs {
		if strings.EqualFold(c.MimeType, mime) {
			apt["apt="+itoa(c.PayloadType)] = true
		}
	}
	first := func(c webrtc.RTPCodecParameters) int {
		if strings.EqualFold(c.MimeType, mime) || apt[c.SDPFmtpLine] {
			return 0
		}
		return 1
	}
	out := slices.Clone(codecs)
	slices.SortStableFunc(out, func(a, b webrtc.RTPCodecParameters) int { return first(a) - first(b) })
	return out
}
