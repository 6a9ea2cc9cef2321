package loadtest

import (
	"crypto/tls"
	"encoding/json"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/pion/ice/v4"
	"github.com/pion/logging"
	"github.com/pion/turn/v5"
	"github.com/pion/webrtc/v4"
	"github.com/stretchr/testify/require"
)

// pathClient is a participant of one subscribing peer connection whose network
// the test chooses; the SDK's client has neither ICE-TCP nor TURN over IPv6.
type pathClient struct {
	*rawClient
	pc        *webrtc.PeerConnection
	join      *livekit.JoinResponse
	connected chan struct{}
	wg        sync.WaitGroup
}

// joinOnPath enters a room; engine makes the settings once the server has told
// its ICE servers.
func joinOnPath(t *testing.T, room, identity string, engine func(*livekit.JoinResponse) webrtc.SettingEngine) *pathClient {
	t.Helper()
	c := &pathClient{rawClient: dialRoom(t, room, identity, nil), connected: make(chan struct{})}
	c.join = c.awaitJoin()
	api := webrtc.NewAPI(webrtc.WithSettingEngine(engine(c.join)))
	var err error
	c.pc, err = api.NewPeerConnection(webrtc.Configuration{})
	require.NoError(t, err)
	var once sync.Once
	c.pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		if s == webrtc.PeerConnectionStateConnected {
			once.Do(func() { close(c.connected) })
		}
	})
	c.wg.Go(c.negotiate)
	t.Cleanup(func() {
		c.close()
		c.wg.Wait()
		_ = c.pc.GracefulClose()
	})
	return c
}

// negotiate answers the server's offers until the connection ends. Its own
// candidates stand in the answers.
func (c *pathClient) negotiate() {
	var early []webrtc.ICECandidateInit
	for r := range c.responses {
		switch {
		case r.GetOffer() != nil:
			if err := c.answer(r.GetOffer()); err != nil {
				c.t.Errorf("answering the offer: %v", err)
				return
			}
			for _, e := range early {
				_ = c.pc.AddICECandidate(e)
			}
			early = nil
		case r.GetTrickle() != nil && r.GetTrickle().GetTarget() == livekit.SignalTarget_SUBSCRIBER:
			var init webrtc.ICECandidateInit
			if err := json.Unmarshal([]byte(r.GetTrickle().GetCandidateInit()), &init); err != nil {
				c.t.Errorf("a candidate that does not parse: %v", err)
				return
			}
			if c.pc.RemoteDescription() == nil {
				early = append(early, init)
				continue
			}
			_ = c.pc.AddICECandidate(init) // of a family that this client has not
		}
	}
}

func (c *pathClient) answer(offer *livekit.SessionDescription) error {
	if err := c.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer.Sdp}); err != nil {
		return err
	}
	answer, err := c.pc.CreateAnswer(nil)
	if err != nil {
		return err
	}
	gathered := webrtc.GatheringCompletePromise(c.pc)
	if err := c.pc.SetLocalDescription(answer); err != nil {
		return err
	}
	<-gathered
	return c.conn.WriteMessage(2, mustMarshal(&livekit.SignalRequest{Message: &livekit.SignalRequest_Answer{
		Answer: &livekit.SessionDescription{Type: "answer", Sdp: c.pc.LocalDescription().SDP, Id: offer.Id},
	}}))
}

// connects waits for media and describes its path.
func (c *pathClient) connects(t *testing.T) string {
	t.Helper()
	select {
	case <-c.connected:
	case <-time.After(joinTime):
		t.Fatalf("no media in %v", joinTime)
	}
	pair, err := c.pc.SCTP().Transport().ICETransport().GetSelectedCandidatePair()
	require.NoError(t, err)
	require.NotNil(t, pair)
	version := "ipv4"
	if strings.Contains(pair.Remote.Address, ":") {
		version = "ipv6"
	}
	return pair.Local.Protocol.String() + " " + version
}

// onlyTCP are the settings of a client that uses ICE-TCP alone (RFC 6544).
func onlyTCP(*livekit.JoinResponse) webrtc.SettingEngine {
	var e webrtc.SettingEngine
	e.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeTCP4, webrtc.NetworkTypeTCP6})
	return e
}

// throughTURN are the settings of a client whose only socket is a relayed
// address, made here from the TURN server's URL and credentials.
func throughTURN(t *testing.T) func(*livekit.JoinResponse) webrtc.SettingEngine {
	return func(join *livekit.JoinResponse) webrtc.SettingEngine {
		require.Len(t, join.IceServers, 1)
		server := join.IceServers[0]
		host := turnHost(t, server.Urls)
		conn, err := tls.Dial("tcp", host, &tls.Config{MinVersion: tls.VersionTLS12})
		require.NoError(t, err)
		client, err := turn.NewClient(&turn.ClientConfig{
			TURNServerAddr: conn.RemoteAddr().String(), Conn: turn.NewSTUNConn(conn),
			Username: server.Username, Password: server.Credential, LoggerFactory: logging.NewDefaultLoggerFactory(),
		})
		require.NoError(t, err)
		require.NoError(t, client.Listen())
		relay, err := client.Allocate()
		require.NoError(t, err)
		mux := ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: relay})
		t.Cleanup(func() {
			_ = mux.Close()
			_ = relay.Close()
			client.Close()
			_ = conn.Close()
		})
		var e webrtc.SettingEngine
		e.SetIncludeLoopbackCandidate(true) // the relayed address is one
		e.SetIPFilter(net.IP.IsLoopback)
		e.SetICEUDPMux(mux)
		e.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6})
		return e
	}
}

// turnHost returns host:port of the TURN server over TLS.
func turnHost(t *testing.T, urls []string) string {
	t.Helper()
	for _, u := range urls {
		if rest, ok := strings.CutPrefix(u, "turns:"); ok {
			parsed, err := url.Parse("turns://" + rest)
			require.NoError(t, err)
			require.Equal(t, "tcp", parsed.Query().Get("transport"))
			return parsed.Host
		}
	}
	t.Fatalf("no TURN over TLS in %v", urls)
	return ""
}
