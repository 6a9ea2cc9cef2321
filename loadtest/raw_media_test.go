package loadtest

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	"github.com/pion/dtls/v3"
	"github.com/pion/dtls/v3/pkg/crypto/fingerprint"
	"github.com/pion/dtls/v3/pkg/crypto/selfsign"
	dtlsnet "github.com/pion/dtls/v3/pkg/net"
	"github.com/pion/ice/v4"
	"github.com/pion/srtp/v3"
	"github.com/pion/webrtc/v4"
	"github.com/stretchr/testify/require"
)

// rawPublisher is a publisher that writes every byte of its packets itself: a
// WebRTC stack would send nothing that is not well formed.
type rawPublisher struct {
	*rawClient
	conn    *ice.Conn
	seal    *srtp.Context
	sid     string // of its audio track
	readers sync.WaitGroup
}

// The streams that a rawPublisher announces.
const (
	rawSSRC    = 0x01020304
	rawPayload = 111
	rawLevelID = 1 // header extension (RFC 6464)
	rawMidID   = 4
	rawTwccID  = 3
)

// publishRaw enters the room and connects as a publisher of sound.
func publishRaw(t testing.TB, room, identity string) *rawPublisher {
	t.Helper()
	p := &rawPublisher{rawClient: dialRoom(t, room, identity, func(g *auth.VideoGrant) { g.SetCanSubscribe(false) })}
	p.awaitJoin()
	p.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_AddTrack{AddTrack: &livekit.AddTrackRequest{
		Cid: "mic", Type: livekit.TrackType_AUDIO, Source: livekit.TrackSource_MICROPHONE}}})
	p.await("track_published", func(r *livekit.SignalResponse) bool {
		p.sid = r.GetTrackPublished().GetTrack().GetSid()
		return p.sid != ""
	})
	agent, err := ice.NewAgentWithOptions(ice.WithNetworkTypes([]ice.NetworkType{ice.NetworkTypeUDP4}),
		ice.WithCandidateTypes([]ice.CandidateType{ice.CandidateTypeHost}), ice.WithIncludeLoopback(),
		ice.WithMulticastDNSMode(ice.MulticastDNSModeDisabled))
	require.NoError(t, err)
	t.Cleanup(func() {
		p.close()
		_ = agent.Close()
		p.readers.Wait()
	})
	cert, err := selfsign.GenerateSelfSigned()
	require.NoError(t, err)
	p.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_Offer{
		Offer: &livekit.SessionDescription{Type: "offer", Id: 1, Sdp: rawOffer(t, agent, cert)}}})
	var candidates []*livekit.TrickleRequest
	var answer string
	p.await("answer and a candidate", func(r *livekit.SignalResponse) bool {
		if r.GetAnswer() != nil {
			answer = r.GetAnswer().GetSdp()
		}
		if r.GetTrickle().GetTarget() == livekit.SignalTarget_PUBLISHER && r.GetTrickle() != nil {
			candidates = append(candidates, r.GetTrickle())
		}
		return answer != "" && len(candidates) > 0
	})
	add := func(c *livekit.TrickleRequest) {
		var init webrtc.ICECandidateInit
		if json.Unmarshal([]byte(c.GetCandidateInit()), &init) != nil {
			return
		}
		if remote, err := ice.UnmarshalCandidate(strings.TrimPrefix(init.Candidate, "candidate:")); err == nil {
			_ = agent.AddRemoteCandidate(remote)
		}
	}
	for _, c := range candidates {
		add(c)
	}
	p.readers.Go(func() { // until the socket is closed
		for r := range p.responses {
			if c := r.GetTrickle(); c != nil && c.GetTarget() == livekit.SignalTarget_PUBLISHER {
				add(c)
			}
		}
	})
	p.connect(t, agent, answer, cert)
	return p
}

// rawOffer describes one audio stream, with the agent's candidates in it.
func rawOffer(t testing.TB, agent *ice.Agent, cert tls.Certificate) string {
	t.Helper()
	gathered := make(chan struct{})
	require.NoError(t, agent.OnCandidate(func(c ice.Candidate) {
		if c == nil {
			close(gathered)
		}
	}))
	require.NoError(t, agent.GatherCandidates())
	<-gathered
	ufrag, pwd, err := agent.GetLocalUserCredentials()
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	require.NoError(t, err)
	print256, err := fingerprint.Fingerprint(leaf, crypto.SHA256)
	require.NoError(t, err)
	lines := []string{
		"v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0", "a=fingerprint:sha-256 " + strings.ToUpper(print256),
		fmt.Sprintf("m=audio 9 UDP/TLS/RTP/SAVPF %d", rawPayload), "c=IN IP4 0.0.0.0", "a=setup:actpass", "a=mid:0",
		"a=ice-ufrag:" + ufrag, "a=ice-pwd:" + pwd, "a=rtcp-mux", "a=rtcp-rsize", "a=sendonly",
		fmt.Sprintf("a=rtpmap:%d opus/48000/2", rawPayload), fmt.Sprintf("a=rtcp-fb:%d nack", rawPayload), fmt.Sprintf("a=rtcp-fb:%d transport-cc", rawPayload),
		fmt.Sprintf("a=extmap:%d urn:ietf:params:rtp-hdrext:ssrc-audio-level", rawLevelID),
		fmt.Sprintf("a=extmap:%d http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01", rawTwccID),
		fmt.Sprintf("a=extmap:%d urn:ietf:params:rtp-hdrext:sdes:mid", rawMidID),
		"a=msid:- mic", fmt.Sprintf("a=ssrc:%d cname:raw", rawSSRC), fmt.Sprintf("a=ssrc:%d msid:- mic", rawSSRC),
	}
	own, err := agent.GetLocalCandidates()
	require.NoError(t, err)
	for _, c := range own {
		lines = append(lines, "a=candidate:"+c.Marshal())
	}
	return strings.Join(lines, "\r\n") + "\r\n"
}

// connect goes through ICE and DTLS and takes the keys (RFC 5764).
func (p *rawPublisher) connect(t testing.TB, agent *ice.Agent, answer string, cert tls.Certificate) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var err error
	p.conn, err = agent.Dial(ctx, sdpValue(answer, "a=ice-ufrag:"), sdpValue(answer, "a=ice-pwd:"))
	require.NoError(t, err)
	secure, err := dtls.ClientWithOptions(dtlsnet.PacketConnFromConn(&onlyDTLS{p.conn}), p.conn.RemoteAddr(),
		dtls.WithCertificates(cert), dtls.WithInsecureSkipVerify(true), dtls.WithSRTPProtectionProfiles(dtls.SRTP_AES128_CM_HMAC_SHA1_80))
	require.NoError(t, err)
	require.NoError(t, secure.HandshakeContext(ctx))
	t.Cleanup(func() { _ = secure.Close() })
	state, ok := secure.ConnectionState()
	require.True(t, ok)
	cfg := &srtp.Config{Profile: srtp.ProtectionProfileAes128CmHmacSha1_80}
	require.NoError(t, cfg.ExtractSessionKeysFromDTLS(&state, true))
	p.seal, err = srtp.CreateContext(cfg.Keys.LocalMasterKey, cfg.Keys.LocalMasterSalt, cfg.Profile)
	require.NoError(t, err)
}

func sdpValue(sdp, prefix string) string {
	for line := range strings.Lines(sdp) {
		if v, ok := strings.CutPrefix(line, prefix); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// onlyDTLS leaves out what else comes on the connection (RFC 7983).
type onlyDTLS struct{ net.Conn }

func (c *onlyDTLS) Read(b []byte) (int, error) {
	for {
		n, err := c.Conn.Read(b)
		if err != nil || n > 0 && b[0] > 19 && b[0] < 64 {
			return n, err
		}
	}
}

// sealed is an RTP packet under the session's key. Its header must parse.
func (p *rawPublisher) sealed(packet []byte) []byte {
	p.t.Helper()
	out, err := p.seal.EncryptRTP(nil, packet, nil)
	require.NoError(p.t, err)
	return out
}

// sealedRTCP is an RTCP packet under the session's key.
func (p *rawPublisher) sealedRTCP(packet []byte) []byte {
	p.t.Helper()
	out, err := p.seal.EncryptRTCP(nil, packet, nil)
	require.NoError(p.t, err)
	return out
}

// write sends bytes as they are; once the server has hung up they go nowhere.
func (p *rawPublisher) write(b []byte) { _, _ = p.conn.Write(b) }
