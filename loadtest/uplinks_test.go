package loadtest

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/webrtc/v4"
	"github.com/stretchr/testify/require"
)

const (
	// uplinksVariable says what a process of TestTwoUplinks is: the witness on the
	// server's host or the client; none: who starts them.
	uplinksVariable = "DIEMCAU_TEST_UPLINKS"
	// uplinksHosts are the hosts of the server and the client.
	uplinksHosts = "DIEMCAU_TEST_UPLINKS_HOSTS"

	uplinkSwitches = 5
	// backWithin is how long media may be away after an ICE restart.
	backWithin = 3 * time.Second

	reportTopic = "report" // of the witness: packets heard, how often somebody left
)

// TestTwoUplinks: the server has several addresses, and a client reaches it over two
// uplinks. One is cut without a word: what comes is dropped. The client, which knows
// its way, restarts ICE. Signals go by a third way, which carries no media.
func TestTwoUplinks(t *testing.T) {
	require.Zero(t, os.Geteuid(), "network namespaces need root")
	switch os.Getenv(uplinksVariable) {
	case "witness":
		witnessUplinks(t)
		return
	case "client":
		for _, m := range []mode{twoPCs, onePC} {
			t.Run(string(m), func(t *testing.T) { switchUplinks(t, m) })
		}
		return
	}
	n := network{env: []string{"DIEMCAU_TURN__ENABLED=false"}}
	for i, link := range uplinks {
		subnet := fmt.Sprintf("10.201.%d.", i)
		n.setup = append(n.setup, "link add "+link+" netns SERVER_NS type veth peer name "+link+" netns CLIENT_NS",
			"-n SERVER_NS address add "+subnet+"1/24 dev "+link, "-n SERVER_NS link set "+link+" up",
			"-n CLIENT_NS address add "+subnet+"2/24 dev "+link, "-n CLIENT_NS link set "+link+" up")
	}
	h := makeNetwork(t, fmt.Sprintf("ul-%d", os.Getpid()), n)
	var said bytes.Buffer
	witness := h.on("SERVER_NS", "^TestTwoUplinks$", uplinksVariable+"=witness")
	witness.Stdout, witness.Stderr = &said, &said
	require.NoError(t, witness.Start())
	out, err := h.onClient("^TestTwoUplinks$", uplinksVariable+"=client",
		uplinksHosts+"="+h.host["SERVER_NS"]+" "+h.host["CLIENT_NS"]).CombinedOutput()
	if err != nil {
		_ = witness.Process.Kill()
	}
	ended := witness.Wait()
	require.NoError(t, err, "%s\n%s\n%s", out, said.String(), h.server.logTail(30))
	require.NoError(t, ended, "%s", said.String())
	for line := range strings.Lines(string(out)) {
		if _, measured, ok := strings.Cut(line, "MEASURED "); ok {
			t.Log(strings.TrimSpace(measured))
		}
	}
	require.Equal(t, 1, strings.Count(string(out), "\n--- PASS"), "%s", out)
}

// uplinks are the client's interfaces for media, and the server's at the other end.
var uplinks = [2]string{"eth1", "eth2"}

func uplinkRoom(m mode) string { return "uplinks-" + string(m) }

// witnessUplinks hears the client and is heard by it, and says how many packets came.
func witnessUplinks(t *testing.T) {
	var rooms []*peer
	for _, m := range []mode{twoPCs, onePC} {
		p := join(t, uplinkRoom(m), "witness")
		p.publishTone(30)
		rooms = append(rooms, p)
	}
	until(t, 50*time.Second, func() bool {
		ended := 0
		for _, p := range rooms {
			p.mu.Lock()
			heard := uint64(0)
			for _, r := range p.received {
				heard += r.account.Stats().Packets
			}
			p.mu.Unlock()
			left := p.count("ParticipantDisconnected", "an", "")
			report := &lksdk.UserDataPacket{Payload: fmt.Appendf(nil, "%d %d", heard, left), Topic: reportTopic}
			_ = p.room.LocalParticipant.PublishDataPacket(report) // nobody to tell as long as its channel is not open
			ended += min(left, 1)
		}
		return ended == len(rooms)
	}, func() string { return "the client has left both rooms" })
}

// only lets media come over one uplink, on both hosts. Nobody is told: what comes over
// the other is dropped before anything sees it, and UDP on the way of the signals is too.
func only(t *testing.T, link string) {
	t.Helper()
	hosts := strings.Fields(os.Getenv(uplinksHosts))
	require.Len(t, hosts, 2)
	for _, ns := range hosts {
		rules := "table inet uplinks\ndelete table inet uplinks\ntable inet uplinks {\nchain c {\ntype filter hook prerouting priority raw;\niifname eth0 " + noUDP + ";\n"
		for _, u := range uplinks {
			if u != link {
				rules += "iifname " + u + " drop;\n"
			}
		}
		out, err := exec.Command("ip", "netns", "exec", ns, "nft", rules+"}\n}\n").CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
}

// switchUplinks goes from one uplink to the other and back.
func switchUplinks(t *testing.T, m mode) {
	only(t, uplinks[0])
	an := join(t, uplinkRoom(m), "an", withMode(m), withConnect(lksdk.WithDisableTURN()))
	sid := an.room.LocalParticipant.SID()
	an.publishTone(30)
	an.sees("witness")
	var source string
	until(t, 10*time.Second, func() bool {
		for _, pub := range an.room.GetParticipantByIdentity("witness").TrackPublications() {
			source = pub.SID()
		}
		return source != ""
	}, func() string { return "the witness publishes" })
	heard := an.receives(source)
	// told is the witness's last report.
	told := func() (packets uint64, left string) {
		an.mu.Lock()
		defer an.mu.Unlock()
		for i := len(an.data) - 1; i >= 0; i-- {
			if d := an.data[i]; d.topic == reportTopic {
				count, left, _ := strings.Cut(d.payload, " ")
				packets, err := strconv.ParseUint(count, 10, 64)
				if err != nil {
					t.Errorf("the witness reports %q", d.payload)
				}
				return packets, left
			}
		}
		return 0, ""
	}
	until(t, 10*time.Second, func() bool { n, _ := told(); return n > 25 }, func() string { return "the witness hears" })

	running := func() int {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		v, err := ReadGauge(ctx, http.DefaultClient, server(t).MetricsURL, "go_goroutines")
		require.NoError(t, err)
		return int(v)
	}
	before := running()
	for i := range uplinkSwitches {
		link := uplinks[(i+1)%2]
		until(t, 10*time.Second, func() bool { return strings.HasPrefix(localAddress(an), fmt.Sprintf("10.201.%d.", i%2)) },
			func() string { return fmt.Sprintf("before switch %d; sends from %q", i, localAddress(an)) })
		only(t, link)
		packets := heard.account.Stats().Packets
		upstream, _ := told()
		began := time.Now()
		an.room.Simulate(lksdk.SimulateSignalReconnect)
		var down, up time.Duration
		until(t, 10*time.Second, func() bool {
			// What was on its way when the uplink was cut is less than these.
			if down == 0 && heard.account.Stats().Packets > packets+10 {
				down = time.Since(began)
			}
			if n, _ := told(); up == 0 && n > upstream+10 {
				up = time.Since(began)
			}
			return down > 0 && up > 0
		}, func() string {
			return fmt.Sprintf("media over %s; heard %v, is heard %v; %v", link, down, up, an.history())
		})
		t.Logf("MEASURED %s: to %s, hears again after %v, is heard after %v", m, link, down.Round(time.Millisecond), up.Round(time.Millisecond))
		require.Less(t, max(down, up), backWithin)
		until(t, 10*time.Second, func() bool { return an.count("Reconnected", "", "") == i+1 },
			func() string { return fmt.Sprint("the client is back; was told ", an.history()) })
		require.Equal(t, sid, an.room.LocalParticipant.SID())
	}
	_, left := told()
	require.Equal(t, "0", left, "for the others nobody left")
	require.Zero(t, an.count("Disconnected", "", ""))
	require.Equal(t, 1, an.count("TrackSubscribed", "witness", source), "the same subscription all the time")
	until(t, 20*time.Second, func() bool { return running() <= before+2 },
		func() string { return fmt.Sprintf("goroutines: %d before, %d after", before, running()) })
	t.Logf("MEASURED %s: goroutines of the server: %d before, %d after", m, before, running())
}

// localAddress is the peer's own end of the path of its media.
func localAddress(p *peer) string {
	pc := p.room.LocalParticipant.GetSubscriberPeerConnection()
	if pc == nil || pc.ConnectionState() != webrtc.PeerConnectionStateConnected {
		pc = p.room.LocalParticipant.GetPublisherPeerConnection()
	}
	pair, err := pc.SCTP().Transport().ICETransport().GetSelectedCandidatePair()
	if err != nil || pair == nil {
		return ""
	}
	return pair.Local.Address
}
