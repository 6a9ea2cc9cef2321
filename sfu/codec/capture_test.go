package codec

import (
	"bufio"
	"encoding/hex"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// captured is a line of a file in testdata/capture; see the README there.
type captured struct {
	rid     string
	seq     uint16
	ts      uint32
	marker  bool
	dd      []byte
	payload []byte // the first bytes of it
}

func readCapture(t testing.TB, name string) []captured {
	t.Helper()
	file, err := os.Open(filepath.Join("testdata", "capture", name+".txt"))
	require.NoError(t, err)
	defer file.Close()
	var packets []captured
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		require.Len(t, f, 7)
		seq, err := strconv.ParseUint(f[1], 10, 16)
		require.NoError(t, err)
		ts, err := strconv.ParseUint(f[2], 10, 32)
		require.NoError(t, err)
		p := captured{rid: f[0], seq: uint16(seq), ts: uint32(ts), marker: f[3] == "1"}
		if f[4] != "-" {
			p.dd, err = hex.DecodeString(f[4])
			require.NoError(t, err)
		}
		p.payload, err = hex.DecodeString(f[6])
		require.NoError(t, err)
		packets = append(packets, p)
	}
	require.NoError(t, lines.Err())
	require.NotEmpty(t, packets)
	return packets
}

// svcCaptures are the captures of one stream each, with the layers of it.
var svcCaptures = map[string]Layer{
	"vp9_l3t3_key": {2, 2}, "vp9_l3t3": {2, 2}, "vp9_l1t3": {0, 2},
	"av1_l3t3_key": {2, 2}, "av1_l3t3": {2, 2}, "av1_l1t3": {0, 2},
}
