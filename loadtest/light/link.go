package light

import (
	"context"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/dtls/v3"
	dtlsnet "github.com/pion/dtls/v3/pkg/net"
	"github.com/pion/ice/v4"
	"github.com/pion/logging"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
)

const (
	// checkInterval is the time between two connectivity checks, about that of Chromium.
	// maxChecks of a path go without an answer before it is given up: a server that many
	// join at once may need seconds.
	checkInterval = 50 * time.Millisecond
	maxChecks     = 300
	// iceTimeout is how long nothing may come before a path is given up.
	iceTimeout = 15 * time.Second
)

// errNotConnected is returned by sending on a link that has no keys yet.
var errNotConnected = errors.New("light: not connected")

// link is the transport of one peer connection: a socket, ICE, DTLS and SRTP.
type link struct {
	cert    certificate
	sock    *socket
	mux     *ice.UDPMuxDefault
	agent   *ice.Agent
	local   []string // candidates, as they stand in SDP
	started bool     // only the negotiating goroutine uses it
	ufrag   string   // the server's; likewise

	connected chan struct{} // closed once there are keys, or failed is set
	failed    error         // written before connected is closed
	open      atomic.Pointer[srtp.Context]
	remote    atomic.Pointer[netip.AddrPort] // of the path that was selected

	rtcp   []byte // only the reading goroutine uses it
	sendMu sync.Mutex
	seal   *srtp.Context // guarded by sendMu
	sealed []byte        // guarded by sendMu
	twcc   uint16        // last transport-wide number; guarded by sendMu

	ctx      context.Context
	cancel   context.CancelFunc
	secure   *dtls.Conn // set before connected is closed
	channels *channels  // of SCTP; set before connected is closed
	overhead int        // bytes that sealing adds to RTP; set before connected is closed
	wg       sync.WaitGroup
}

// newLink opens the socket and gathers the one candidate that it is.
func newLink(local netip.Addr, cert certificate, media func(*link, []byte, int64)) (*link, error) {
	l := &link{cert: cert, connected: make(chan struct{})}
	sock, err := listen(local, func(b []byte, at int64) { media(l, b, at) })
	if err != nil {
		return nil, err
	}
	l.sock = sock
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.mux = ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: sock, Logger: quiet.NewLogger("ice")})
	network := ice.NetworkTypeUDP4
	if local.Is6() {
		network = ice.NetworkTypeUDP6
	}
	l.agent, err = ice.NewAgentWithOptions(ice.WithUDPMux(l.mux), ice.WithIncludeLoopback(),
		ice.WithNetworkTypes([]ice.NetworkType{network}), ice.WithCandidateTypes([]ice.CandidateType{ice.CandidateTypeHost}),
		ice.WithMulticastDNSMode(ice.MulticastDNSModeDisabled), ice.WithCheckInterval(checkInterval), ice.WithMaxBindingRequests(maxChecks),
		ice.WithDisconnectedTimeout(iceTimeout), ice.WithFailedTimeout(iceTimeout), ice.WithLoggerFactory(quiet))
	if err != nil {
		_ = l.mux.Close()
		return nil, err
	}
	if err := l.agent.OnSelectedCandidatePairChange(func(_, remote ice.Candidate) { l.selected(remote) }); err != nil {
		l.close()
		return nil, err
	}
	if err := l.gather(); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// quiet is the logger of the stacks below: what matters of their errors is returned.
var quiet = func() logging.LoggerFactory {
	f := logging.NewDefaultLoggerFactory()
	f.DefaultLogLevel = logging.LogLevelDisabled
	return f
}()

func (l *link) gather() error {
	done := make(chan struct{})
	var once sync.Once
	if err := l.agent.OnCandidate(func(c ice.Candidate) {
		if c == nil {
			once.Do(func() { close(done) })
		}
	}); err != nil {
		return err
	}
	if err := l.agent.GatherCandidates(); err != nil {
		return err
	}
	<-done
	own, err := l.agent.GetLocalCandidates()
	if err != nil {
		return err
	}
	l.local = l.local[:0]
	for _, c := range own {
		l.local = append(l.local, c.Marshal())
	}
	return nil
}

// selected notes where media is to go.
func (l *link) selected(remote ice.Candidate) {
	addr, err := netip.ParseAddr(remote.Address())
	if err != nil {
		return
	}
	to := netip.AddrPortFrom(addr, uint16(remote.Port()))
	l.remote.Store(&to)
}

// credentials are those of ICE, for our SDP.
func (l *link) credentials() (ufrag, pwd string, err error) { return l.agent.GetLocalUserCredentials() }

// addCandidate takes a candidate of the server's; what is of no use, TCP or a name, is
// left out.
func (l *link) addCandidate(line string) {
	c, err := ice.UnmarshalCandidate(strings.TrimPrefix(strings.TrimPrefix(line, "a="), "candidate:"))
	if err == nil && !c.NetworkType().IsTCP() {
		_ = l.agent.AddRemoteCandidate(c)
	}
}

// start connects in the background once the first description has come. offered says
// that it was an answer to an offer of ours. A later description may bring other ICE
// credentials (RFC 8445 section 9).
func (l *link) start(d *description, offered bool) error {
	if l.started {
		if d.ufrag != l.ufrag {
			l.ufrag = d.ufrag
			return l.agent.SetRemoteCredentials(d.ufrag, d.pwd)
		}
		return nil
	}
	l.started, l.ufrag = true, d.ufrag
	begin := l.agent.StartAccept
	if offered { // RFC 8445 section 6.1.1
		begin = l.agent.StartDial
	}
	conn, err := begin(d.ufrag, d.pwd)
	if err != nil {
		l.failed = err
		close(l.connected)
		return err
	}
	l.wg.Go(func() {
		l.failed = l.connect(conn, d, offered)
		close(l.connected)
	})
	return nil
}

func (l *link) connect(conn *ice.Conn, d *description, offered bool) error {
	err := l.agent.AwaitConnect(l.ctx)
	if err != nil {
		return fmt.Errorf("ICE: %w", err)
	}
	client := !offered || d.setup == "passive"
	profiles := dtls.WithSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80)
	verify := dtls.WithVerifyPeerCertificate(func(chain [][]byte, _ [][]*x509.Certificate) error {
		return checkFingerprint(d.fingerprint, chain)
	})
	packets := dtlsnet.PacketConnFromConn(lossy{conn})
	if client {
		l.secure, err = dtls.ClientWithOptions(packets, conn.RemoteAddr(), dtls.WithCertificates(l.cert.Certificate),
			dtls.WithInsecureSkipVerify(true), verify, profiles, dtls.WithLoggerFactory(quiet))
	} else {
		l.secure, err = dtls.ServerWithOptions(packets, conn.RemoteAddr(), dtls.WithCertificates(l.cert.Certificate),
			dtls.WithInsecureSkipVerify(true), verify, profiles, dtls.WithLoggerFactory(quiet), dtls.WithClientAuth(dtls.RequireAnyClientCert))
	}
	if err != nil {
		return fmt.Errorf("DTLS: %w", err)
	}
	if err := l.secure.HandshakeContext(l.ctx); err != nil {
		return fmt.Errorf("DTLS: %w", err)
	}
	if err := l.takeKeys(client); err != nil {
		return err
	}
	if d.hasChannels {
		l.channels = newChannels(l.secure, client, offered)
		l.wg.Go(l.channels.run)
	}
	return nil
}

// lossy is what DTLS and SCTP write to. While ICE begins anew there is no path, and what
// they write is lost; an error would have them close the agent, as would their own end.
type lossy struct{ *ice.Conn }

// Write implements net.Conn.
func (c lossy) Write(b []byte) (int, error) {
	_, _ = c.Conn.Write(b) // as on any network
	return len(b), nil
}

// Close implements net.Conn: it ends reading. The link closes the agent itself.
func (c lossy) Close() error { return c.SetReadDeadline(time.Unix(1, 0)) }

// takeKeys makes the SRTP contexts, RFC 5764 section 4.2.
func (l *link) takeKeys(client bool) error {
	state, ok := l.secure.ConnectionState()
	profile, chosen := l.secure.SelectedSRTPProtectionProfile()
	if !ok || !chosen {
		return errors.New("DTLS: no SRTP profile in common")
	}
	cfg := &srtp.Config{Profile: srtp.ProtectionProfileAes128CmHmacSha1_80}
	l.overhead = 10
	if profile == dtls.SRTP_AEAD_AES_128_GCM {
		cfg.Profile = srtp.ProtectionProfileAeadAes128Gcm
		l.overhead = 16
	}
	if err := cfg.ExtractSessionKeysFromDTLS(&state, client); err != nil {
		return err
	}
	open, err := srtp.CreateContext(cfg.Keys.RemoteMasterKey, cfg.Keys.RemoteMasterSalt, cfg.Profile)
	if err != nil {
		return err
	}
	seal, err := srtp.CreateContext(cfg.Keys.LocalMasterKey, cfg.Keys.LocalMasterSalt, cfg.Profile)
	if err != nil {
		return err
	}
	l.sendMu.Lock()
	l.seal = seal
	l.sendMu.Unlock()
	l.open.Store(open)
	return nil
}

// await returns when media can flow. Errors: it cannot, or ctx ends first.
func (l *link) await(ctx context.Context) error {
	select {
	case <-l.connected:
		return l.failed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// sendRTCP seals and sends a compound or reduced-size packet (RFC 5506).
func (l *link) sendRTCP(plain []byte) error {
	l.sendMu.Lock()
	defer l.sendMu.Unlock()
	to := l.remote.Load()
	if l.seal == nil || to == nil {
		return errNotConnected
	}
	var err error
	if l.sealed, err = l.seal.EncryptRTCP(l.sealed[:0], plain, nil); err != nil {
		return err
	}
	_, err = l.sock.WriteToAddrPort(l.sealed, *to)
	return err
}

// sendRTP seals and sends a packet, with the next transport-wide number written at
// twccAt, 0 for none. at, if there is one, is called when nothing else is to be done.
func (l *link) sendRTP(plain []byte, twccAt int, header *rtp.Header, at func()) error {
	l.sendMu.Lock()
	defer l.sendMu.Unlock()
	to := l.remote.Load()
	if l.seal == nil || to == nil {
		return errNotConnected
	}
	if twccAt > 0 {
		l.twcc++
		binary.BigEndian.PutUint16(plain[twccAt:], l.twcc)
	}
	if at != nil {
		at()
	}
	var err error
	if l.sealed, err = l.seal.EncryptRTP(l.sealed[:0], plain, header); err != nil {
		return err
	}
	_, err = l.sock.WriteToAddrPort(l.sealed, *to)
	return err
}

// roundTrip is the time that ICE measured last, 0 if none.
func (l *link) roundTrip() time.Duration {
	stats, ok := l.agent.GetSelectedCandidatePairStats()
	if !ok {
		return 0
	}
	return time.Duration(stats.CurrentRoundTripTime * float64(time.Second))
}

// close ends it and waits for all of its goroutines.
func (l *link) close() {
	l.cancel()
	if l.started {
		<-l.connected
	}
	if l.channels != nil {
		l.channels.close()
	}
	if l.secure != nil {
		_ = l.secure.Close() // tells the server
	}
	_ = l.agent.GracefulClose()
	_ = l.mux.Close()
	l.wg.Wait()
}
