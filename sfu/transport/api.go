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
	"net/netip"
	"slices"
	"syscall"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/logging"
	"github.com/pion/stun/v4"
	"github.com/pion/transport/v4/stdnet"
	"github.com/pion/webrtc/v4"

	"diemcau/sfu/udp"
)

// Config says where participants reach this node.
type Config struct {
	UDPPort     int      // one UDP port for all participants; 0 disables UDP
	TCPPort     int      // one TCP port (RFC 6544) for all participants; 0 disables it
	NodeIPs     []string // addresses to offer, PUBLIC or PUBLIC/LOCAL; empty: every address of every interface
	UseLoopback bool     // offer loopback addresses too
	// PionEgress has the peer connections seal and send what could go around them.
	PionEgress bool
	Log        *slog.Logger
}

// Timeouts of ICE, as clients expect them: a peer silent for iceDisconnected is
// "disconnected", and after iceFailed more it is "failed".
const (
	iceDisconnected = 10 * time.Second
	iceFailed       = 5 * time.Second
	iceKeepalive    = time.Second
	relayWait       = time.Second // how long a direct path may take to be preferred to a relay
	tcpReadBuffer   = 8           // packets of a peer on one address; then its stream waits
	tcpWriteBuffer  = 1 << 20     // bytes; what does not fit is dropped
	udpBuffer       = 4 << 20     // bytes, asked of the kernel for each direction
	maxMessageSize  = 256 * 1024  // bytes of one data-channel message (SCTP)
	receiveMTU      = 1500        // bytes
)

// API makes transports that share the node's sockets and certificate.
type API struct {
	log      *slog.Logger
	engine   webrtc.SettingEngine
	cert     webrtc.Certificate
	udp      ice.UDPMux
	tcp      ice.TCPMux
	tcpSock  net.Listener
	addrs    []MediaAddress
	media    map[netip.AddrPort]*udp.Conn // UDP sockets by local address
	peers    peers
	reporter *reporter
	pion     bool // see Config.PionEgress
	turns    turns
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
	a := &API{log: cfg.Log, cert: *cert, media: make(map[netip.AddrPort]*udp.Conn), pion: cfg.PionEgress, turns: newTurns()}
	a.reporter = newReporter()
	if !cfg.PionEgress {
		shortenBuffers() // paths drops what does not fit
	}
	if err := a.settings(cfg); err != nil {
		_ = a.Close()
		return nil, err
	}
	return a, nil
}

func (a *API) settings(cfg Config) error {
	machine, err := machineAddrs()
	if err != nil {
		return err
	}
	nodes, err := parseNodeIPs(cfg.NodeIPs, machine)
	if err != nil {
		return err
	}
	keep := func(ip netip.Addr) bool {
		if ip.IsLoopback() {
			return cfg.UseLoopback
		}
		if ip.IsLinkLocalUnicast() {
			return false // means nothing on another link
		}
		return nodes.keep(ip)
	}
	local := slices.DeleteFunc(machine, func(ip netip.Addr) bool { return !keep(ip) })
	e := &a.engine
	e.LoggerFactory = newLogFactory(cfg.Log)
	e.SetIPFilter(func(ip net.IP) bool {
		addr, ok := netip.AddrFromSlice(ip)
		return ok && keep(addr.Unmap())
	})
	e.SetIncludeLoopbackCandidate(cfg.UseLoopback)
	e.SetNet(&interfaces{Net: &stdnet.Net{}})
	e.SetNetworkTypes([]webrtc.NetworkType{
		webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6, webrtc.NetworkTypeTCP4, webrtc.NetworkTypeTCP6,
	})
	e.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	e.SetICETimeouts(iceDisconnected, iceFailed, iceKeepalive)
	e.SetHostAcceptanceMinWait(0)
	e.SetPrflxAcceptanceMinWait(0)
	e.SetRelayAcceptanceMinWait(relayWait)
	e.DisableActiveTCP(true)
	e.SetReceiveMTU(receiveMTU)
	e.SetSCTPMaxMessageSize(maxMessageSize)
	e.SetSCTPRTOMax(time.Second)
	e.DetachDataChannels() // channels reads them
	e.SetSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80)
	if err := e.SetAnsweringDTLSRole(webrtc.DTLSRoleServer); err != nil {
		return err
	}
	if rules := nodes.rules(local); len(rules) > 0 {
		if err := e.SetICEAddressRewriteRules(rules...); err != nil {
			return fmt.Errorf("rtc.node_ips: %w", err)
		}
	}
	if err := a.sockets(cfg, local); err != nil {
		return err
	}
	for i, m := range a.addrs {
		for _, o := range nodes.offered(m.Local.Addr()) {
			a.addrs[i].Offered = append(a.addrs[i].Offered, netip.AddrPortFrom(o, m.Local.Port()))
		}
	}
	return nil
}

func (a *API) sockets(cfg Config, local []netip.Addr) error {
	if cfg.UDPPort == 0 && cfg.TCPPort == 0 {
		return errors.New("neither a UDP nor a TCP media port is configured")
	}
	ices := a.engine.LoggerFactory.NewLogger("ice")
	if cfg.UDPPort != 0 {
		if err := a.listenUDP(cfg.UDPPort, local, ices); err != nil {
			return err
		}
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

// listenUDP opens the UDP port on each local address. An address that cannot be
// bound just now (IPv6 duplicate detection, an interface going down) is left
// out; no address at all is an error.
func (a *API) listenUDP(port int, local []netip.Addr, ices logging.LeveledLogger) error {
	var muxes []ice.UDPMux
	for _, ip := range local {
		addr := netip.AddrPortFrom(ip, uint16(port))
		sock, err := udp.Listen(addr, udp.Config{Buffer: udpBuffer, Tap: a.peers.tap, Log: a.log})
		if errors.Is(err, syscall.EADDRNOTAVAIL) {
			a.log.Warn("no media on this address", "address", ip, "err", err)
			continue
		}
		if err != nil {
			for _, m := range muxes {
				_ = m.Close()
			}
			return fmt.Errorf("UDP media port %d: %w", port, err)
		}
		muxes = append(muxes, ice.NewUDPMuxDefault(ice.UDPMuxParams{Logger: ices, UDPConn: sock}))
		a.addrs = append(a.addrs, MediaAddress{Local: addr})
		a.media[addr] = sock
	}
	if len(muxes) == 0 {
		return fmt.Errorf("UDP media port %d: no address to listen on", port)
	}
	a.udp = ice.NewMultiUDPMuxDefault(muxes...)
	a.engine.SetICEUDPMux(a.udp)
	return nil
}

// Close closes the media sockets; transports must be closed before.
func (a *API) Close() error {
	a.reporter.close()
	var errs []error
	if a.udp != nil {
		errs = append(errs, a.udp.Close())
	}
	if a.tcp != nil {
		errs = append(errs, a.tcp.Close())
	}
	return errors.Join(errs...)
}

// newPeerConnection makes a peer connection with the codecs of codecs.go. What it
// receives is reported by in, if that is not nil; nothing stands on the send side:
// retransmission and sender reports belong to downtrack.
// What is sent can go around it, through outlet, if that is not nil.
func (a *API) newPeerConnection(bufs *buffers, in *receiving, out *outlet) (*webrtc.PeerConnection, formats, error) {
	media, err := newMediaEngine()
	if err != nil {
		return nil, formats{}, err
	}
	known := newFormats(media)
	reg := &interceptor.Registry{}
	if in != nil {
		reg.Add(in)
	}
	engine := a.engine
	engine.DisableMediaEngineCopy(known.each != nil)
	engine.BufferFactory = bufs.make
	roam := &roaming{}
	engine.SetICEBindingRequestHandler(func(_ *stun.Message, _, remote ice.Candidate, _ *ice.CandidatePair) bool {
		if out != nil {
			out.paths.checked(remote)
		}
		return roam.check(remote)
	})
	if out != nil {
		out.keys.attach(&engine)
		out.paths.attach(&engine, a.udp, a.tcp)
	}
	api := webrtc.NewAPI(
		webrtc.WithSettingEngine(engine), webrtc.WithMediaEngine(media), webrtc.WithInterceptorRegistry(reg))
	pc, err := api.NewPeerConnection(webrtc.Configuration{
		Certificates: []webrtc.Certificate{a.cert},
		BundlePolicy: webrtc.BundlePolicyMaxBundle,
		SDPSemantics: webrtc.SDPSemanticsUnifiedPlan,
	})
	if err != nil {
		return nil, formats{}, err
	}
	pc.SCTP().Transport().ICETransport().OnSelectedCandidatePairChange(func(pair *webrtc.ICECandidatePair) {
		roam.follow(pair)
		if out != nil {
			out.paths.selected(pair)
		}
	})
	return pc, known, nil
}
