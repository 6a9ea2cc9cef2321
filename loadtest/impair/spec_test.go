package impair

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParseSpec(t *testing.T) {
	spec, err := ParseSpec([]byte(`
seed: 7
families: [ipv4, ipv6]
links:
  - name: wifi
    phases:
      - {name: good, for: 20s}
      - for: 10s
        up: {delay: 10ms}
        down: {rate: 1.5Mbps, loss: 2.5%, burst: {every: 5s, for: 300ms}, block: ["udp", "tcp:7881"]}
      - {both: {delay: 40ms, jitter: 5ms, reorder: 0.01, reorder_by: 20ms, gilbert_elliott: {to_bad: 1%, to_good: 20%}}}
  - name: lte
`))
	require.NoError(t, err)
	require.Equal(t, defaultMTU, spec.MTU)
	wifi := spec.Links[0].Phases
	require.Equal(t, []string{"good", "2", "3"}, []string{wifi[0].Name, wifi[1].Name, wifi[2].Name})
	require.Equal(t, Impairment{}, *wifi[0].Down)
	require.Equal(t, Duration(10*time.Millisecond), wifi[1].Up.Delay)
	down := wifi[1].Down
	require.Equal(t, Rate(1_500_000), down.Rate)
	require.Equal(t, defaultQueue, down.Queue)
	require.InDelta(t, 0.025, float64(down.Loss), 1e-9)
	require.Equal(t, []rule{{protocolUDP, 0}, {protocolTCP, 7881}}, down.block)
	require.Equal(t, wifi[2].Up, wifi[2].Down)
	require.NotSame(t, wifi[2].Up, wifi[2].Down)
	require.Len(t, spec.Links[1].Phases, 1)

	same, err := ParseSpec([]byte(`{"phases": [{"both": {"rate": "600kbps", "queue": "150ms"}}]}`))
	require.NoError(t, err, "JSON")
	require.Equal(t, "eth0", same.Links[0].Name)
	require.Equal(t, Duration(150*time.Millisecond), same.Links[0].Phases[0].Down.Queue)
}

func TestBadSpecsAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		`phase: []`:                                                  "field phase not found",
		`phases: [{both: {delya: 1s}}]`:                              "field delya not found",
		`phases: [{both: {loss: 120%}}]`:                             "not a share",
		`phases: [{both: {loss: .nan}}]`:                             "not a share",
		`phases: [{both: {rate: 600}}]`:                              "not a rate",
		`phases: [{both: {rate: -1Mbps}}]`:                           "must be 8kbps",
		`phases: [{both: {rate: 1bps}}]`:                             "must be 8kbps",
		`phases: [{both: {delay: 40}}]`:                              "not a duration",
		`phases: [{both: {delay: -40ms}}]`:                           "is negative",
		`phases: [{both: {delay: 1h}}]`:                              "more than 10s",
		`phases: [{both: {jitter: 1ms}}]`:                            "jitter: 1ms is more than the delay of 0s",
		`phases: [{both: {queue: 1ms}}]`:                             "queue: needs a rate",
		`phases: [{both: {reorder: 1%}}]`:                            "reorder and reorder_by",
		`phases: [{both: {burst: {for: 1s}}}]`:                       "burst: for must be",
		`phases: [{down: {block: ["icmp"]}}]`:                        "phases[0].down: block: \"icmp\"",
		`phases: [{down: {block: ["udp:0"]}}]`:                       "the port is not",
		`phases: [{both: {}, up: {}}]`:                               "either both, or up and down",
		`phases: [{}, {}]`:                                           "phases[0]: for is missing",
		`phases: [{both: {gilbert_elliott: {}}}]`:                    "to_bad and to_good",
		"phases: [{}]\nlinks: [{name: eth0}]":                        "belong into links",
		`links: [{name: a}, {name: a}]`:                              "occurs twice",
		`links: [{name: lo}]`:                                        "no device name",
		`links: [{name: "x; reboot"}]`:                               "no device name",
		`links: [{name: a},{name: b},{name: c},{name: d},{name: e}]`: "links: 5, more than 4",
		`families: [ipx]`:                                            "families",
		`families: [ipv4,ipv4]`:                                      "families",
		`network: 300`:                                               "network: 300",
		`mtu: 100`:                                                   "mtu: 100",
		"{}\n---\n{}":                                                "more than one document",
		`phases: {`:                                                  "did not find",
	} {
		_, err := ParseSpec([]byte(text))
		require.ErrorContains(t, err, want, "%s", text)
	}
}

func FuzzParseSpec(f *testing.F) {
	f.Add([]byte(`phases: [{for: 1s, both: {rate: 1Mbps, loss: 5%, block: [udp]}}, {up: {delay: 1ms}}]`))
	f.Add([]byte(`links: [{name: a, phases: [{link_down: true}]}]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		spec, err := ParseSpec(b)
		if err != nil {
			return
		}
		for _, l := range spec.Links {
			for _, p := range l.Phases {
				require.NotNil(t, p.Up)
				require.NotNil(t, p.Down)
			}
		}
	})
}
