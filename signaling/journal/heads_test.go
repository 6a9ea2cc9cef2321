package journal

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"diemcau/signaling/store"
	"diemcau/signaling/store/storetest"
)

func headOf(meeting string, seq uint64) Head {
	return Head{Meeting: meeting, Seq: seq, Hash: Hash{0: byte(seq), 1: byte(len(meeting))}}
}

// newHeads makes a heads file with the first line of the opening and n more.
func newHeads(t *testing.T, n int) (dir, file string) {
	t.Helper()
	dir = t.TempDir()
	h, err := OpenHeads(dir)
	require.NoError(t, err)
	for i := range n {
		require.NoError(t, h.Append([]Head{headOf("m", uint64(i+1)), headOf(fmt.Sprint("x", i), 1)}))
	}
	require.NoError(t, h.Close())
	return dir, filepath.Join(dir, HeadsFile)
}

func TestHeadsAreKept(t *testing.T) {
	dir, _ := newHeads(t, 5)
	log, err := ReadHeads(dir)
	require.NoError(t, err)
	require.Empty(t, log.Faults)
	require.False(t, log.Torn)
	head, ok := log.Last("m")
	require.True(t, ok)
	require.Equal(t, headOf("m", 5), head)
	_, ok = log.Last("unknown")
	require.False(t, ok)

	h, err := OpenHeads(dir)
	require.NoError(t, err)
	defer h.Close()
	head, ok = h.Last("x3")
	require.True(t, ok)
	require.Equal(t, headOf("x3", 1), head)
	_, err = OpenHeads(dir)
	require.ErrorContains(t, err, "another process")

	info, err := os.Stat(filepath.Join(dir, KeyFile))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

// A crash may leave any part of the last line, or zeros in its place.
func TestATornLastLineIsNoError(t *testing.T) {
	dir, file := newHeads(t, 3)
	whole, err := os.ReadFile(file)
	require.NoError(t, err)
	start := bytes.LastIndexByte(whole[:len(whole)-1], '\n') + 1
	for cut := start + 1; cut < len(whole); cut += 7 {
		zeros := bytes.Clone(whole)
		clear(zeros[cut:])
		hole := bytes.Clone(whole)
		clear(hole[start:cut])
		for name, content := range map[string][]byte{"short": whole[:cut], "zeros": zeros, "a hole": hole} {
			require.NoError(t, os.WriteFile(file, content, 0o600))
			log, err := ReadHeads(dir)
			require.NoError(t, err)
			require.True(t, log.Torn, name)
			require.Empty(t, log.Faults, name)

			h, err := OpenHeads(dir)
			require.NoError(t, err, name)
			head, _ := h.Last("m")
			require.Equal(t, headOf("m", 2), head, name)
			require.NoError(t, h.Append([]Head{headOf("m", 3)}))
			require.NoError(t, h.Close())
			log, err = ReadHeads(dir)
			require.NoError(t, err)
			require.False(t, log.Torn, name)
			require.Empty(t, log.Faults, name)
			head, _ = log.Last("m")
			require.Equal(t, headOf("m", 3), head, name)
		}
	}
}

func TestAFalsifiedHeadsFileIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(lines []string) []string
		want HeadFault
	}{
		"a changed number":  {func(l []string) []string { l[2] = strings.Replace(l[2], `"seq":2`, `"seq":3`, 1); return l }, HeadFault{Kind: HeadDamaged, Line: 3}},
		"a changed meeting": {func(l []string) []string { l[2] = strings.Replace(l[2], `"m"`, `"n"`, 1); return l }, HeadFault{Kind: HeadDamaged, Line: 3}},
		"a changed counter": {func(l []string) []string { l[2] = strings.Replace(l[2], `"n":3`, `"n":9`, 1); return l }, HeadFault{Kind: HeadDamaged, Line: 3}},
		"not a line":        {func(l []string) []string { l[2] = "x"; return l }, HeadFault{Kind: HeadDamaged, Line: 3}},
		"a line removed":    {func(l []string) []string { return append(l[:2:2], l[3:]...) }, HeadFault{Kind: HeadMissing, Line: 3}},
		"a line twice":      {func(l []string) []string { return append(l[:3:3], l[2:]...) }, HeadFault{Kind: HeadMissing, Line: 4}},
		"two lines swapped": {func(l []string) []string { l[2], l[3] = l[3], l[2]; return l }, HeadFault{Kind: HeadMissing, Line: 3}},
	} {
		dir, file := newHeads(t, 4)
		raw, err := os.ReadFile(file)
		require.NoError(t, err)
		lines := c.do(strings.SplitAfter(strings.TrimSuffix(string(raw), "\n"), "\n"))
		falsified := strings.Join(lines, "")
		if lines[2] == "x" {
			falsified = strings.Replace(falsified, "x{", "x\n{", 1)
		}
		require.NoError(t, os.WriteFile(file, []byte(falsified+"\n"), 0o600))
		log, err := ReadHeads(dir)
		require.NoError(t, err, name)
		require.NotEmpty(t, log.Faults, name)
		require.Equal(t, c.want, log.Faults[0], name)

		// The server goes on; the evidence stays.
		for range 2 {
			h, err := OpenHeads(dir)
			require.NoError(t, err, name)
			require.NoError(t, h.Close())
		}
		kept, err := os.ReadFile(file + ".damaged-1")
		require.NoError(t, err, name)
		require.Equal(t, falsified+"\n", string(kept), name)
		log, err = ReadHeads(dir)
		require.NoError(t, err)
		require.Equal(t, []HeadFault{{Kind: HeadAside, File: HeadsFile + ".damaged-1"}}, log.Faults, name)
	}
}

func TestHeadsOfAnotherKeyAreNoHeads(t *testing.T) {
	dir, _ := newHeads(t, 3)
	_, forged := newHeads(t, 3)
	raw, err := os.ReadFile(forged)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, HeadsFile), raw, 0o600))
	log, err := ReadHeads(dir)
	require.NoError(t, err)
	require.Len(t, log.Faults, 3) // and the last may be torn
	_, ok := log.Last("m")
	require.False(t, ok)
}

func TestTheKey(t *testing.T) {
	dir, _ := newHeads(t, 1)
	key, pub := filepath.Join(dir, KeyFile), filepath.Join(dir, PublicKeyFile)
	saved, err := os.ReadFile(key)
	require.NoError(t, err)

	require.NoError(t, os.Remove(key))
	_, err = OpenHeads(dir)
	require.ErrorIs(t, err, ErrKey, "a key must not be made beside heads that have one")
	for _, bad := range []string{"", "zz", "00", hex.EncodeToString(make([]byte, 32))} {
		require.NoError(t, os.WriteFile(key, []byte(bad), 0o600))
		_, err = OpenHeads(dir)
		require.ErrorIs(t, err, ErrKey, bad)
	}
	require.NoError(t, os.WriteFile(key, saved, 0o600))
	require.NoError(t, os.Remove(pub))
	_, err = ReadHeads(dir)
	require.ErrorIs(t, err, ErrKey)
	h, err := OpenHeads(dir) // a crash between the two files
	require.NoError(t, err)
	require.NoError(t, h.Close())
	_, err = ReadHeads(dir)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(pub, []byte("AAAA"), 0o600))
	_, err = ReadHeads(dir)
	require.ErrorIs(t, err, ErrKey)
}

func TestTheHeadsFileStaysSmall(t *testing.T) {
	dir := t.TempDir()
	h, err := OpenHeads(dir)
	require.NoError(t, err)
	h.floor, h.limit = 4096, 4096
	for i := range 300 {
		require.NoError(t, h.Append([]Head{headOf(fmt.Sprint("m", i%10), uint64(i/10+1))}))
		info, err := os.Stat(filepath.Join(dir, HeadsFile))
		require.NoError(t, err)
		require.Less(t, info.Size(), int64(8192))
	}
	require.NoError(t, h.Close())
	log, err := ReadHeads(dir)
	require.NoError(t, err)
	require.Empty(t, log.Faults)
	for i := range 10 {
		head, _ := log.Last(fmt.Sprint("m", i))
		require.EqualValues(t, 30, head.Seq)
	}
}

func FuzzHeads(f *testing.F) {
	dir := f.TempDir()
	h, err := OpenHeads(dir)
	require.NoError(f, err)
	require.NoError(f, h.Append([]Head{headOf("m", 1)}))
	require.NoError(f, h.Close())
	raw, err := os.ReadFile(filepath.Join(dir, HeadsFile))
	require.NoError(f, err)
	f.Add(raw)
	f.Add([]byte("{}\n\n"))
	pub := h.key.Public().(ed25519.PublicKey)
	f.Fuzz(func(t *testing.T, b []byte) {
		log := parseHeads(b, pub)
		if head, ok := log.Last("m"); ok {
			require.Equal(t, headOf("m", 1), head, "a head that was never signed")
		}
	})
}

// TestAHeadThatIsNotOnDisk is not taken for one that is: a meeting whose last entry could
// not be signed is not opened before it is, or that entry would be acknowledged without
// a signature.
func TestAHeadThatIsNotOnDisk(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		j, dir := startJournal(t, db, Options{})
		w, other := open(t, j, "m", "n"), open(t, j, "other", "n")
		for _, w := range []*Writer{w, other} {
			_, err := w.Append(ctx, draft("1"))
			require.NoError(t, err)
		}
		require.NoError(t, j.heads.file.Close()) // the disk goes away
		obstacle := filepath.Join(dir, HeadsFile+".new")
		require.NoError(t, os.Mkdir(obstacle, 0o700))
		_, err := w.Append(ctx, draft("2"))
		require.ErrorIs(t, err, ErrUncertain)
		head, _ := j.heads.Last("m")
		require.EqualValues(t, 1, head.Seq)
		_, err = j.Open(ctx, "m", "n")
		require.Error(t, err, "entry 2 is not signed")
		_, err = other.Append(ctx, draft("2"))
		require.ErrorIs(t, err, ErrUncertain)

		require.NoError(t, os.Remove(obstacle)) // and comes back
		w = open(t, j, "m", "n")
		for meeting, seq := range map[string]uint64{"m": 2, "other": 1} {
			log, err := ReadHeads(dir)
			require.NoError(t, err)
			require.Empty(t, log.Faults)
			head, _ := log.Last(meeting)
			require.Equal(t, seq, head.Seq, meeting)
		}
		_, err = w.Append(ctx, draft("2"))
		require.ErrorIs(t, err, ErrDuplicate)
		_, err = w.Append(ctx, draft("3"))
		require.NoError(t, err)
		open(t, j, "other", "n")
		report := verify(t, db, dir)
		require.True(t, report.OK())
		for _, m := range report.Meetings {
			require.Zero(t, m.Unsigned, m.Meeting)
		}
	})
}

// TestLock keeps others from what a server has open.
func TestLock(t *testing.T) {
	dir := t.TempDir()
	unlock, err := Lock(dir)
	require.NoError(t, err)
	_, err = OpenHeads(dir)
	require.ErrorContains(t, err, "another process")
	unlock()
	h, err := OpenHeads(dir)
	require.NoError(t, err)
	_, err = Lock(dir)
	require.ErrorContains(t, err, "another process")
	require.NoError(t, h.Close())
	_, err = Lock(filepath.Join(dir, "none"))
	require.ErrorIs(t, err, os.ErrNotExist)
}
