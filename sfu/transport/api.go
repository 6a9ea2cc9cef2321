// Package transport is one WebRTC peer: negotiation, ICE, DTLS, SRTP and SCTP
// of a single peer connection, with its work done on one goroutine of its own.
package transport

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"syscall"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/interceptor/pkg/report"
	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/logging"
	"github.com/pion/webrtc/v4"
)

// Config says where participants reach this node.
type Config struct {
	UDPPort     int      // one UDP port for all participants; 0 disables UDP
	TCPPort     int      // one TCP port (RFC 6544) for all participants; 0 disables it
	NodeIPs     []string // addresses to offer; empty: every address of every interface
	UseLoopback bool     // offer loopback addresses too
	Log         *slog.Logger
}

// Timeouts of ICE, as clients expect them: a peer silent for iceDisconnected is
// "disconnected", and after iceFailed more it is "failed".
const (
	iceDisconnected = 10 * time.Second
	iceFailed       = 5 * time.Second
	iceKeepalive    = 2 * time.Second
	tcpReadBuffer   = 64         // packets
	tcpWriteBuffer  = 1 << 20    // bytes; what does not fit is dropped
	udpBuffer       = 4 << 20    // bytes, asked of the kernel
	maxMessageSize  = 256 * 1024 // bytes of one data-channel message (SCTP)
	receiveMTU      = 1500       // bytes
	nackInterval    = 30 * time.Millisecond
	twccInterval    = 100 * time.Millisecond
	reportInterval  = time.Second
)

// API makes transports that share the node's sockets and certificate.
type API struct {
	log     *slog.Logger
	engine  webrtc.SettingEngine
	cert    webrtc.Certificate
	udp     ice.UDPMux
	tcp     ice.TCPMux
	tcpSock net.Listener
}

// NewAPI opens the media sockets.
func NewAPI(cfg Config) (*API, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("DTLS key: %w", err)
	}
	cert, err := webrtc.GenerateCertificate(key)
	if err != nil {
		return nil, fmt.Errorf("DTLS certificate: %w", err)
	}
	a := &API{log: cfg.Log, cert: *cert}
	if err := a.settings(cfg); err != nil {
		_ = a.Close()
		return nil, err
	}
	return a, nil
}

func (a *API) settings(cfg Config) error {
	local, mapped, err := splitNodeIPs(cfg.NodeIPs)
	if err != nil {
		return err
	}
	keep := func(ip net.IP) bool {
		if ip.IsLoopback() {
			return cfg.UseLoopback
		}
		if ip.IsLinkLocalUnicast() {
			return false // means nothing on another link
		}
		return len(local) == 0 || slices.ContainsFunc(local, ip.Equal)
	}
	e := &a.engine
	e.LoggerFactory = logFactory{cfg.Log}
	e.SetIPFilter(keep)
	e.SetIncludeLoopbackCandidate(cfg.UseLoopback)
	e.SetNetworkTypes([]webrtc.NetworkType{
		webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6, webrtc.NetworkTypeTCP4, webrtc.NetworkTypeTCP6,
	})
	e.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	e.SetICETimeouts(iceDisconnected, iceFailed, iceKeepalive)
	e.SetHostAcceptanceMinWait(0)
	e.SetPrflxAcceptanceMinWait(0)
	e.DisableActiveTCP(true)
	e.SetReceiveMTU(receiveMTU)
	e.SetSCTPMaxMessageSize(maxMessageSize)
	e.SetSCTPRTOMax(time.Second)
	e.SetSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80)
	if err := e.SetAnsweringDTLSRole(webrtc.DTLSRoleServer); err != nil {
		return err
	}
	if len(mapped) > 0 {
		if err := e.SetICEAddressRewriteRules(webrtc.ICEAddressRewriteRule{
			External: mapped, AsCandidateType: webrtc.ICECandidateTypeHost, Mode: webrtc.ICEAddressRewriteReplace,
		}); err != nil {
			return fmt.Errorf("rtc.node_ips: %w", err)
		}
	}
	return a.sockets(cfg, keep)
}

func (a *API) sockets(cfg Config, keep func(net.IP) bool) error {
	if cfg.UDPPort == 0 && cfg.TCPPort == 0 {
		return errors.New("neither a UDP nor a TCP media port is configured")
	}
	ices := logFactory{cfg.Log}.NewLogger("ice")
	if cfg.UDPPort != 0 {
		mux, err := listenUDP(cfg.UDPPort, keep, cfg.Log, ices)
		if err != nil {
			return err
		}
		a.udp = mux
		a.engine.SetICEUDPMux(mux)
	}
	if cfg.TCPPort != 0 {
		sock, err := net.Listen("tcp", fmt.Sprintf(":%d", cfg.TCPPort))
		if err != nil {
			return fmt.Errorf("TCP media port %d: %w", cfg.TCPPort, err)
		}
		a.tcpSock = sock
		a.tcp = ice.NewTCPMuxDefault(ice.TCPMuxParams{
			Listener: sock, Logger: ices, ReadBufferSize: tcpReadBuffer, WriteBufferSize: tcpWriteBuffer,
		})
		a.engine.SetICETCPMux(a.tcp)
	}
	return nil
}

// listenUDP opens the UDP port on every address that keep accepts. An address
// that cannot be bound just now (IPv6 duplicate detection, an interface going
// down) is left out; no address at all is an error.
func listenUDP(port int, keep func(net.IP) bool, log *slog.Logger, ices logging.LeveledLogger) (ice.UDPMux, error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("listing this machine's addresses: %w", err)
	}
	var muxes []ice.UDPMux
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok || !keep(n.IP) {
			continue
		}
		sock, err := net.ListenUDP("udp", &net.UDPAddr{IP: n.IP, Port: port})
		if errors.Is(err, syscall.EADDRNOTAVAIL) {
			log.Warn("no media on this address", "address", n.IP, "err", err)
			continue
		}
		if err != nil {
			for _, m := range muxes {
				_ = m.Close()
			}
			return nil, fmt.Errorf("UDP media port %d: %w", port, err)
		}
		_ = sock.SetReadBuffer(udpBuffer) // the kernel may grant less
		_ = sock.SetWriteBuffer(udpBuffer)
		muxes = append(muxes, ice.NewUDPMuxDefault(ice.UDPMuxParams{Logger: ices, UDPConn: sock}))
	}
	if len(muxes) == 0 {
		return nil, fmt.Errorf("UDP media port %d: no address to listen on", port)
	}
	return ice.NewMultiUDPMuxDefault(muxes...), nil
}

// splitNodeIPs tells addresses of this machine from those a NAT maps to it.
func splitNodeIPs(ips []string) (local []net.IP, mapped []string, err error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, nil, fmt.Errorf("listing this machine's addresses: %w", err)
	}
	for _, s := range ips {
		ip := net.ParseIP(s)
		if ip == nil {
			return nil, nil, fmt.Errorf("rtc.node_ips: %q is not an IP address", s)
		}
		if slices.ContainsFunc(addrs, func(a net.Addr) bool {
			n, ok := a.(*net.IPNet)
			return ok && n.IP.Equal(ip)
		}) {
			local = append(local, ip)
		} else {
			mapped = append(mapped, s)
		}
	}
	return local, mapped, nil
}

// Close closes the media sockets; transports must be closed before.
func (a *API) Close() error {
	var errs []error
	if a.udp != nil {
		errs = append(errs, a.udp.Close())
	}
	if a.tcp != nil {
		errs = append(errs, a.tcp.Close())
	}
	return errors.Join(errs...)
}

// newPeerConnection makes a peer connection with the codecs of codecs.go and
// the receive-side interceptors: NACK generation (RFC 4585), receiver reports
// (RFC 3550) and transport-wide feedback to the publisher. Nothing stands on
// the send side: retransmission and sender reports belong to downtrack.
func (a *API) newPeerConnection(bufs *buffers) (*webrtc.PeerConnection, error) {
	media, err := newMediaEngine()
	if err != nil {
		return nil, err
	}
	reg := &interceptor.Registry{}
	nacks, err := nack.NewGeneratorInterceptor(
		nack.GeneratorSize(1024), nack.GeneratorInterval(nackInterval), nack.GeneratorMaxNacksPerPacket(10),
		nack.WithGeneratorLoggerFactory(a.engine.LoggerFactory))
	if err != nil {
		return nil, err
	}
	reports, err := report.NewReceiverInterceptor(
		report.ReceiverInterval(reportInterval), report.WithReceiverLoggerFactory(a.engine.LoggerFactory))
	if err != nil {
		return nil, err
	}
	feedback, err := twcc.NewSenderInterceptor(
		twcc.SendInterval(twccInterval), twcc.WithLoggerFactory(a.engine.LoggerFactory))
	if err != nil {
		return nil, err
	}
	reg.Add(nacks)
	reg.Add(reports)
	reg.Add(feedback)
	engine := a.engine
	engine.BufferFactory = bufs.make
	api := webrtc.NewAPI(
		webrtc.WithSettingEngine(engine), webrtc.WithMediaEngine(media), webrtc.WithInterceptorRegistry(reg))
	return api.NewPeerConnection(webrtc.Configuration{
		Certificates: []webrtc.Certificate{a.cert},
		BundlePolicy: webrtc.BundlePolicyMaxBundle,
		SDPSemantics: webrtc.SDPSemanticsUnifiedPlan,
	})
}
