package transport

import (
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
	"github.com/stretchr/testify/require"
)

// sections is a description with a section for each list of formats.
func sections(t *testing.T, lists ...string) *sdp.SessionDescription {
	t.Helper()
	d := &sdp.SessionDescription{}
	for _, list := range lists {
		kind, formats, _ := strings.Cut(list, " ")
		m := &sdp.MediaDescription{MediaName: sdp.MediaName{Media: kind}}
		for format := range strings.FieldsSeq(formats) {
			pt, name, _ := strings.Cut(format, ":")
			m.MediaName.Formats = append(m.MediaName.Formats, pt)
			m.Attributes = append(m.Attributes, sdp.Attribute{Key: "rtpmap", Value: pt + " " + name})
		}
		d.MediaDescriptions = append(d.MediaDescriptions, m)
	}
	return d
}

func TestKnownFormatsAreNotLookedIntoAgain(t *testing.T) {
	for _, test := range []struct {
		name  string
		lists [][]string // of one description after the other
		each  []bool
	}{
		{"a list of each kind", [][]string{{"audio 111:opus", "video 96:VP8 97:rtx", "video 97:rtx 96:VP8"}, {"video 96:VP8 97:rtx"}}, []bool{false, false}},
		{"two lists at first", [][]string{{"video 96:VP8", "video 96:VP8 98:VP9"}, {"video 96:VP8 98:VP9"}}, []bool{true, false}},
		{"another list later", [][]string{{"video 96:VP8"}, {"video 96:VP8", "video 98:VP9"}, {"video 98:VP9"}}, []bool{false, true, false}},
		{"the same number for another", [][]string{{"video 96:VP8"}, {"video 96:VP9"}}, []bool{false, true}},
		{"another kind later", [][]string{{"video 96:VP8"}, {"video 96:VP8", "audio 111:opus"}}, []bool{false, true}},
		{"data only", [][]string{{"application webrtc-datachannel:x"}, {"audio 111:opus"}}, []bool{false, false}},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFormats(&webrtc.MediaEngine{})
			require.NotNil(t, f.each, "the engine keeps it elsewhere")
			for i, lists := range test.lists {
				f.prepare(sections(t, lists...))
				require.Equal(t, test.each[i], *f.each, "description %d", i)
			}
		})
	}
}

func TestAfterAFailureAllFormatsAreLookedInto(t *testing.T) {
	f := newFormats(&webrtc.MediaEngine{})
	f.prepare(sections(t, "video 96:VP8"))
	each := f.each
	f.failed()
	f.prepare(sections(t, "video 96:VP8"))
	require.True(t, *each)
}

func TestFormatsRememberedAreBounded(t *testing.T) {
	f := newFormats(&webrtc.MediaEngine{})
	for i := range 200 {
		f.prepare(sections(t, "video "+itoa(webrtc.PayloadType(i))+":VP8"))
	}
	require.LessOrEqual(t, len(f.seen), maxFormats)
}

// TestFormatsOfASectionThatComesLater: what the first section of a kind does not have
// is negotiated for a later one all the same.
func TestFormatsOfASectionThatComesLater(t *testing.T) {
	client := clientWith(t, webrtc.MimeTypeVP8)
	_, err := client.AddTransceiverFromKind(webrtc.RTPCodecTypeVideo)
	require.NoError(t, err)
	first, err := client.CreateOffer(nil)
	require.NoError(t, err)
	head, section, _ := strings.Cut(first.SDP, "m=video ")
	later := strings.NewReplacer("a=mid:0", "a=mid:1", "VP8", "VP9", ":96", ":98", "SAVPF 96", "SAVPF 98").Replace(section)
	second := strings.ReplaceAll(head, "BUNDLE 0", "BUNDLE 0 1") + "m=video " + section + "m=video " + later

	tr, ev := newTestTransport(t, false)
	for i, offer := range []string{first.SDP, second, second} {
		require.NoError(t, tr.SetOffer(offer, uint32(i+1), nil))
		within(t, ev.answers)
	}
	answer, err := tr.pc.LocalDescription().Unmarshal()
	require.NoError(t, err)
	codec, err := answer.GetCodecForPayloadType(98)
	require.NoError(t, err)
	require.Equal(t, "VP9", codec.Name)
}

// TestSectionsFollowTheEngineOnlyWithItsFormats: a section that takes fewer formats
// than others is answered with these, and a client's own order stands where it sends.
func TestSectionsFollowTheEngineOnlyWithItsFormats(t *testing.T) {
	client := clientWith(t, webrtc.MimeTypeVP8, webrtc.MimeTypeVP9)
	vp8 := webrtc.RTPCodecParameters{PayloadType: 96, RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}}
	vp9 := webrtc.RTPCodecParameters{PayloadType: 98, RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP9, ClockRate: 90000, SDPFmtpLine: "profile-id=0"}}
	add := func(direction webrtc.RTPTransceiverDirection, formats ...webrtc.RTPCodecParameters) {
		tr, err := client.AddTransceiverFromKind(webrtc.RTPCodecTypeVideo, webrtc.RTPTransceiverInit{Direction: direction})
		require.NoError(t, err)
		require.NoError(t, tr.SetCodecPreferences(formats))
	}
	add(webrtc.RTPTransceiverDirectionRecvonly)
	add(webrtc.RTPTransceiverDirectionRecvonly, vp8)
	add(webrtc.RTPTransceiverDirectionSendonly, vp9, vp8)
	offer, err := client.CreateOffer(nil)
	require.NoError(t, err)

	tr, ev := newTestTransport(t, false)
	for id := range uint32(2) {
		require.NoError(t, tr.SetOffer(offer.SDP, id+1, nil))
		within(t, ev.answers)
		answer, err := tr.pc.LocalDescription().Unmarshal()
		require.NoError(t, err)
		var formats [][]string
		for _, m := range answer.MediaDescriptions {
			formats = append(formats, m.MediaName.Formats)
		}
		require.Equal(t, [][]string{{"96", "98"}, {"96"}, {"98", "96"}}, formats)
	}
	for i, free := range []bool{true, false, false} {
		section := tr.pc.GetTransceivers()[i]
		before := section.Receiver().GetParameters().Codecs
		require.NoError(t, section.SetCodecPreferences(nil))
		require.Equal(t, free, reflect.DeepEqual(before, section.Receiver().GetParameters().Codecs), "section %d", i)
	}
}

// clientWith is a peer connection with these codecs.
func clientWith(t *testing.T, mimes ...string) *webrtc.PeerConnection {
	t.Helper()
	m := &webrtc.MediaEngine{}
	for _, c := range videoCodecs {
		for _, mime := range mimes {
			if c.mime == mime {
				require.NoError(t, m.RegisterCodec(webrtc.RTPCodecParameters{PayloadType: c.pt,
					RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: mime, ClockRate: 90000, SDPFmtpLine: c.fmtp}}, webrtc.RTPCodecTypeVideo))
			}
		}
	}
	pc, err := webrtc.NewAPI(webrtc.WithMediaEngine(m)).NewPeerConnection(webrtc.Configuration{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, pc.Close()) })
	return pc
}

func TestNegotiatingRestsNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		some := make(turns, 1)
		some <- &turn{}
		work := func(d time.Duration) (took time.Duration) {
			begun := time.Now()
			one := some.take()
			time.Sleep(d)
			some.give(one)
			return time.Since(begun)
		}
		require.Equal(t, workFor/2, work(workFor/2))
		require.Equal(t, workFor/2+restFor, work(workFor/2), "both together were long")
		require.Equal(t, workFor/2, work(workFor/2))
		time.Sleep(2 * restFor)
		require.Equal(t, workFor/2, work(workFor/2), "it rested by itself")
		require.Equal(t, workFor+restFor, work(workFor))
	})
}
