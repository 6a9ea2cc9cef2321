package transport

import (
	"slices"
	"strings"

	"github.com/pion/sdp/v3"
)

// Whether Opus is sent in stereo is told by its format parameters (RFC 7587 section
// 7): stereo=1 in an answer has the client send it so, sprop-stereo=1 in an offer
// tells the client to expect it. One set of parameters for all sections, as the
// peer connection has, would make every microphone stereo, or none.

const (
	wantsStereo  = "stereo=1"
	sendsStereo  = "sprop-stereo=1"
	stereoBudget = "maxaveragebitrate=510000" // bits per second, the most there is
)

// stereoTrack is a sent track that may be in stereo.
type stereoTrack interface{ Stereo() bool }

// answerStereo has the client send those of its tracks in stereo that are.
func answerStereo(answer string, offer *sdp.SessionDescription, tracks map[string]Wanted) string {
	stereo := make(map[string]bool)
	for _, m := range offer.MediaDescriptions {
		mid, _ := m.Attribute(sdp.AttrKeyMID)
		msid, _ := m.Attribute(sdp.AttrKeyMsid)
		if _, track, _ := strings.Cut(msid, " "); tracks[track].Stereo {
			stereo[mid] = true
		}
	}
	if len(stereo) == 0 && !strings.Contains(answer, wantsStereo) {
		return answer // there is nothing to change, and it is long
	}
	return editOpus(answer, func(m *sdp.MediaDescription, mid string, params []string) []string {
		if _, receives := m.Attribute("recvonly"); !receives {
			return params
		}
		params = slices.DeleteFunc(params, func(p string) bool { return p == wantsStereo })
		if stereo[mid] {
			params = append(params, wantsStereo, stereoBudget)
		}
		return params
	})
}

// offerStereo marks the sections in which we send stereo.
func (t *Transport) offerStereo(offer string) string {
	stereo := make(map[string]bool)
	for _, tr := range t.pc.GetTransceivers() {
		if s := tr.Sender(); s != nil {
			if track, ok := s.Track().(stereoTrack); ok && track.Stereo() {
				stereo[tr.Mid()] = true
			}
		}
	}
	if len(stereo) == 0 {
		return offer
	}
	return editOpus(offer, func(_ *sdp.MediaDescription, mid string, params []string) []string {
		if stereo[mid] && !slices.Contains(params, sendsStereo) {
			params = append(params, sendsStereo)
		}
		return params
	})
}

// editOpus changes Opus's format parameters in the audio sections of a description
// of ours.
func editOpus(desc string, edit func(m *sdp.MediaDescription, mid string, params []string) []string) string {
	var d sdp.SessionDescription
	if d.UnmarshalString(desc) != nil {
		return desc
	}
	for _, m := range d.MediaDescriptions {
		mid, _ := m.Attribute(sdp.AttrKeyMID)
		opus := ""
		for _, a := range m.Attributes {
			if pt, name, ok := strings.Cut(a.Value, " "); ok && a.Key == "rtpmap" && strings.HasPrefix(strings.ToLower(name), "opus/") {
				opus = pt
			}
		}
		for i, a := range m.Attributes {
			if pt, line, ok := strings.Cut(a.Value, " "); ok && a.Key == "fmtp" && pt == opus {
				m.Attributes[i].Value = pt + " " + strings.Join(edit(m, mid, strings.Split(line, ";")), ";")
			}
		}
	}
	edited, err := d.Marshal()
	if err != nil {
		return desc
	}
	return string(edited)
}
