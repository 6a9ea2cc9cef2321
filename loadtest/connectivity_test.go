package loadtest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
	"github.com/stretchr/testify/require"
)

const (
	// pathVariable says on which path media must come: words out of udp, tcp, relay,
	// ipv4 and ipv6.
	pathVariable = "DIEMCAU_TEST_PATH"
	// joinTime is how long a participant may wait for media, whatever its network
	// lets through.
	joinTime = 5 * time.Second
)

// TestMediaComesInTime: from the first request to sound in both directions.
func TestMediaComesInTime(t *testing.T) {
	inBothModes(t, func(t *testing.T, m mode) {
		room := roomName(t)
		an := join(t, room, "an", withMode(m))
		pub, _ := an.publishTone(30)
		began := time.Now()
		bich := join(t, room, "bich", withMode(m))
		bich.receives(pub.SID()).flows(t, 10)
		heard := time.Since(began)
		back, _ := bich.publishTone(30)
		an.receives(back.SID()).flows(t, 10)
		path := selectedPath(t, bich)
		t.Logf("MEASURED %s: hears after %v, is heard after %v, over %s", m, heard.Round(time.Millisecond), time.Since(began).Round(time.Millisecond), path)
		require.Less(t, time.Since(began), joinTime)
		requirePath(t, path)
	})
}

// selectedPath describes the way a peer receives its media: transport protocol,
// IP version, and relay if it is one.
func selectedPath(t *testing.T, p *peer) string {
	t.Helper()
	pc := p.room.LocalParticipant.GetSubscriberPeerConnection()
	if pc == nil || pc.ConnectionState() != webrtc.PeerConnectionStateConnected {
		pc = p.room.LocalParticipant.GetPublisherPeerConnection()
	}
	require.NotNil(t, pc)
	var pair *webrtc.ICECandidatePair
	until(t, joinTime, func() bool {
		var err error
		pair, err = pc.SCTP().Transport().ICETransport().GetSelectedCandidatePair()
		return err == nil && pair != nil
	}, func() string { return "a candidate pair is selected" })
	words := []string{pair.Local.Protocol.String(), "ipv4"}
	if strings.Contains(pair.Remote.Address, ":") {
		words[1] = "ipv6"
	}
	if pair.Local.Typ == webrtc.ICECandidateTypeRelay {
		words = append(words, "relay")
	}
	return strings.Join(words, " ")
}

// network is what stands between the client and the server of a test.
type network struct {
	name     string
	tests    string   // to run on the client
	path     string   // that media must take
	ipv6     bool     // and no IPv4
	firewall string   // nftables rules of the client's output
	env      []string // of the server; SERVER stands for its address
	setup    []string // commands of ip, likewise
	nat      string   // nftables rules of the server's prerouting, likewise
}

const (
	webPort  = "7443"
	noUDP    = "meta l4proto udp drop"
	onlyTLS  = "meta l4proto udp drop; tcp dport != " + webPort + " drop"
	publicIP = "203.0.113.7"
)

// TestBehindFirewalls runs TestMediaComesInTime on another host, in networks
// that let less and less through.
func TestBehindFirewalls(t *testing.T) {
	require.Zero(t, os.Geteuid(), "network namespaces need root")
	require.Empty(t, os.Getenv(pathVariable), "already on another host")
	nat := []string{"-n CLIENT_NS route add " + publicIP + " via SERVER"}
	dnat := "ip daddr " + publicIP + " dnat ip to SERVER"
	mapped := "DIEMCAU_RTC__NODE_IPS=" + publicIP + "/SERVER"
	const sdk = "^TestMediaComesInTime$"
	for i, n := range []network{
		{name: "nothing blocked", tests: sdk, path: "udp ipv4"},
		{name: "UDP blocked", tests: "^(TestMediaComesInTime|TestTCPPath)$", path: "ipv4", firewall: noUDP},
		{name: "all but TLS blocked", tests: "^(TestMediaComesInTime|TestTURNPath)$", path: "udp ipv4", firewall: onlyTLS},
		{name: "IPv6 only", tests: sdk, path: "udp ipv6", ipv6: true},
		{name: "IPv6 only, UDP blocked", tests: "^TestTCPPath$", path: "ipv6", ipv6: true, firewall: noUDP},
		{name: "IPv6 only, all but TLS blocked", tests: "^TestTURNPath$", path: "udp ipv6", ipv6: true, firewall: onlyTLS},
		{name: "NAT", tests: "^(TestMediaComesInTime|TestTCPPath)$", path: "ipv4", env: []string{mapped}, setup: nat, nat: dnat},
		{name: "NAT, all but TLS blocked", tests: "^(TestMediaComesInTime|TestTURNPath)$", path: "udp ipv4", setup: nat, nat: dnat, firewall: onlyTLS,
			env: []string{mapped, "DIEMCAU_TURN__DOMAIN=SERVER"}},
	} {
		t.Run(n.name, func(t *testing.T) {
			h := makeNetwork(t, fmt.Sprintf("cn%d-%d", i, os.Getpid()), n)
			out, err := h.onClient(n.tests, pathVariable+"="+n.path).CombinedOutput()
			require.NoError(t, err, "%s\n%s", out, h.server.logTail(30))
			for line := range strings.Lines(string(out)) {
				if _, measured, ok := strings.Cut(line, "MEASURED "); ok {
					t.Log(strings.TrimSpace(measured))
				}
			}
			require.Equal(t, strings.Count(n.tests, "Test"), strings.Count(string(out), "\n--- PASS"), "%s", out)
		})
	}
}

// TestTCPPath: a client that has ICE-TCP only.
func TestTCPPath(t *testing.T) {
	t.Parallel()
	began := time.Now()
	path := joinOnPath(t, roomName(t), "an", onlyTCP).connects(t)
	t.Logf("MEASURED ICE-TCP: media after %v, over %s", time.Since(began).Round(time.Millisecond), path)
	require.Contains(t, strings.Fields(path), "tcp")
	requirePath(t, path)
	require.Less(t, time.Since(began), joinTime)
}

// TestTURNPath: a client that has nothing but a relayed address.
func TestTURNPath(t *testing.T) {
	if os.Getenv(pathVariable) == "" { // this server has no TLS: one that has
		h := makeNetwork(t, fmt.Sprintf("tp-%d", os.Getpid()), network{})
		out, err := h.onClient("^TestTURNPath$", pathVariable+"=udp ipv4").CombinedOutput()
		require.NoError(t, err, "%s", out)
		return
	}
	began := time.Now()
	path := joinOnPath(t, roomName(t), "an", throughTURN(t)).connects(t)
	t.Logf("MEASURED TURN over TLS: media after %v, over %s", time.Since(began).Round(time.Millisecond), path)
	requirePath(t, path)
	require.Less(t, time.Since(began), joinTime)
}

// requirePath compares a path with what the network of the test must lead to.
func requirePath(t *testing.T, path string) {
	t.Helper()
	for _, word := range strings.Fields(os.Getenv(pathVariable)) {
		require.Contains(t, strings.Fields(path), word, "the path taken")
	}
}

// hosts are two machines with a server on one of them.
type hosts struct {
	t       *testing.T
	host    map[string]string
	address string // of the server
	dir     string
	server  *serverProcess
}

// makeNetwork makes the hosts and starts the server.
func makeNetwork(t *testing.T, name string, n network) *hosts {
	t.Helper()
	binary, err := shared.serverBinary()
	require.NoError(t, err)
	h := &hosts{t: t, host: makeHosts(t, name), dir: t.TempDir()}
	h.address = h.host["SERVER_ADDR"]
	listen := "0.0.0.0:" + webPort
	if n.ipv6 {
		h.address, listen = "fd00:200::1", "[::]:"+webPort
		for ns, address := range map[string]string{"SERVER_NS": h.address, "CLIENT_NS": "fd00:200::2"} {
			h.run("ip", "-n", h.host[ns], "address", "flush", "dev", "eth0", "scope", "global")
			h.run("ip", "-n", h.host[ns], "address", "add", address+"/64", "dev", "eth0", "nodad")
		}
	}
	resolve := strings.NewReplacer("SERVER_NS", h.host["SERVER_NS"], "CLIENT_NS", h.host["CLIENT_NS"], "SERVER", h.address)
	for _, s := range n.setup {
		h.run("ip", strings.Fields(resolve.Replace(s))...)
	}
	if n.nat != "" {
		h.nft("SERVER_NS", "type nat hook prerouting priority dstnat", resolve.Replace(n.nat))
	}
	if n.firewall != "" {
		h.nft("CLIENT_NS", "type filter hook output priority filter", n.firewall)
	}
	cmd := serverCommand(binary, listen, filepath.Join(h.dir, "data"))
	inside := exec.Command("ip", append([]string{"netns", "exec", h.host["SERVER_NS"]}, cmd.Args...)...)
	inside.Env = cmd.Env
	for _, e := range n.env {
		inside.Env = append(inside.Env, resolve.Replace(e))
	}
	h.server, err = startProcess(inside, filepath.Join(h.dir, "server.log"))
	require.NoError(t, err)
	t.Cleanup(func() {
		if err := h.server.stop(); err != nil {
			t.Errorf("the server: %v\n%s", err, h.server.logTail(40))
		}
	})
	until(t, 20*time.Second, func() bool { return h.server.ended() || strings.Contains(h.server.logTail(100), "msg=serving") },
		func() string { return "the server is ready: " + h.server.logTail(20) })
	require.False(t, h.server.ended(), "the server ended as it started")
	return h
}

func (h *hosts) run(name string, args ...string) {
	h.t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	require.NoError(h.t, err, "%s %v: %s", name, args, out)
}

// nft gives a host one chain of rules.
func (h *hosts) nft(ns, hook, rules string) {
	h.t.Helper()
	h.run("ip", "netns", "exec", h.host[ns], "nft", fmt.Sprintf("table inet test {\nchain test {\n%s;\n%s;\n}\n}\n", hook, rules))
}

// onClient runs tests of this binary on the client's host.
func (h *hosts) onClient(tests string, env ...string) *exec.Cmd {
	h.t.Helper()
	return h.on("CLIENT_NS", tests, env...)
}

// on runs tests of this binary on one of the hosts. The whole process trusts the
// server's authority, for TURN over TLS too.
func (h *hosts) on(ns, tests string, env ...string) *exec.Cmd {
	h.t.Helper()
	self, err := os.Executable()
	require.NoError(h.t, err)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	h.t.Cleanup(cancel)
	host := h.address
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	cmd := exec.CommandContext(ctx, "ip", "netns", "exec", h.host[ns], self,
		"-test.run", tests, "-test.count=1", "-test.v", "-test.timeout=50s")
	cmd.Env = append(append(os.Environ(), "DIEMCAU_URL=https://"+host+":"+webPort, "DIEMCAU_KEY="+demoKey,
		"DIEMCAU_SECRET="+demoSecret, "DIEMCAU_METRICS_URL=", "SSL_CERT_FILE="+filepath.Join(h.dir, "data", "ca", "ca.crt")), env...)
	return cmd
}
