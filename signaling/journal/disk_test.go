package journal

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A power failure at every write of a short session: the session runs under
// strace, and for each point of the trace the disks that could be left are built
// and opened. See disk for what a disk may have lost.
func TestPowerFailuresLoseNothing(t *testing.T) {
	dir := t.TempDir()
	trace := filepath.Join(t.TempDir(), "trace")
	cmd := exec.Command("strace", "-f", "-y", "-xx", "-s", "4194304", "-o", trace, "-e", "signal=none",
		"-e", "trace=open,openat,creat,write,pwrite64,writev,pwritev,pwritev2,ftruncate,truncate,fallocate,fsync,fdatasync,sync_file_range,"+
			"rename,renameat,renameat2,unlink,unlinkat,link,linkat,symlink,symlinkat,mkdir,mkdirat,rmdir,copy_file_range,sendfile",
		os.Args[0])
	// In two directories, so that neither is synced for the other's sake.
	require.NoError(t, errors.Join(os.Mkdir(filepath.Join(dir, "db"), 0o700), os.Mkdir(filepath.Join(dir, "heads"), 0o700)))
	cmd.Env = append(os.Environ(), "JOURNAL_CHILD=session", "JOURNAL_URL=sqlite:"+filepath.Join(dir, databaseFile), "JOURNAL_DIR="+filepath.Join(dir, "heads"))
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	const entries = 20
	require.Len(t, strings.Fields(string(out)), entries, "%s", out)

	images := collectImages(t, dir, trace)
	last := images[len(images)-1]
	require.Len(t, last.acknowledged, entries)
	synced := 0
	for _, im := range images {
		synced = max(synced, len(im.files))
	}
	require.GreaterOrEqual(t, synced, 4, "the trace shows no files")
	// A short run opens some of them, others each time.
	step, from := 1, 0
	if testing.Short() {
		step = 10
		from = rand.IntN(step)
	}
	t.Logf("%d different disks, opened in steps of %d from number %d on", len(images), step, from)
	for i := from; i < len(images); i += step {
		im := images[i]
		t.Run(im.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			require.NoError(t, errors.Join(os.Mkdir(filepath.Join(dir, "db"), 0o700), os.Mkdir(filepath.Join(dir, "heads"), 0o700)))
			for name, content := range im.files {
				require.NoError(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
			}
			if _, there := im.files["heads/"+HeadsFile]; !there {
				require.Empty(t, im.acknowledged)
				h, err := OpenHeads(filepath.Join(dir, "heads")) // the checks read the file
				require.NoError(t, err)
				require.NoError(t, h.Close())
			}
			checkSurvivors(t, "sqlite:"+filepath.Join(dir, databaseFile), filepath.Join(dir, "heads"), im.acknowledged)
		})
	}
}

const databaseFile = "db/meetings.db"

// image is a disk after a power failure, and what had been acknowledged by then.
type image struct {
	name         string
	files        map[string][]byte
	acknowledged map[string]bool
}

// collectImages plays the trace and takes, after each call, the disks that a power
// failure could leave then. Equal disks are one image, with all that had been
// acknowledged when it last could be.
func collectImages(t *testing.T, dir, trace string) []*image {
	t.Helper()
	d := newDisk(dir)
	acknowledged := make(map[string]bool)
	var images []*image
	known := make(map[[32]byte]*image)
	for n, c := range readTrace(t, trace) {
		if id, ok := c.printed(); ok {
			acknowledged[id] = true
		} else if !d.play(t, c) {
			continue
		}
		for variant, files := range d.failures(len(acknowledged) > 0) {
			key := sum(files)
			im := known[key]
			if im == nil {
				im = &image{name: fmt.Sprintf("%04d-%s-%s", n, c.name, variant), files: files}
				known[key] = im
				images = append(images, im)
			}
			im.acknowledged = maps.Clone(acknowledged)
		}
	}
	return images
}

func sum(files map[string][]byte) [32]byte {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		_ = binary.Write(h, binary.BigEndian, []uint64{uint64(len(name)), uint64(len(files[name]))})
		h.Write([]byte(name))
		h.Write(files[name])
	}
	return [32]byte(h.Sum(nil))
}

// disk is two directories as the programs see them and as they may be on the platters.
// Data is there for certain only after fsync of the file, a name only after fsync
// of the directory.
type disk struct {
	dir     string
	names   map[string]*inode // as seen
	durable map[string]*inode // when the directory was last synced
}

type inode struct {
	data   []byte // as seen
	synced []byte // when the file was last synced
	dirty  bool
	last   *write // of those since the sync, unless the size was set after it
}

type write struct {
	at   int64
	data string
}

func newDisk(dir string) *disk {
	return &disk{dir: dir, names: make(map[string]*inode), durable: make(map[string]*inode)}
}

// play does what a call did. It tells whether the call concerns the directory.
func (d *disk) play(t *testing.T, c call) bool {
	t.Helper()
	if c.failed() {
		return false
	}
	switch c.name {
	case "open", "openat", "creat":
		name, ok := d.name(c.path(0))
		if !ok || !strings.Contains(c.args, "O_CREAT") && !strings.Contains(c.args, "O_TRUNC") {
			return false
		}
		if d.names[name] == nil {
			d.names[name] = &inode{}
		} else if strings.Contains(c.args, "O_TRUNC") {
			d.names[name].change(nil)
		}
		return true
	case "write", "pwrite64":
		f := d.file(c)
		if f == nil {
			return false
		}
		data := c.data(0)
		at := int64(len(f.data)) // write is used on new files, from the start to the end
		if c.name == "pwrite64" {
			at = c.number(3)
		}
		grown := patched(f.data, write{at, data})
		require.Equal(t, c.result, int64(len(data)), "a short write: %v", c)
		f.change(grown)
		f.last = &write{at, data}
		return true
	case "ftruncate":
		f := d.file(c)
		if f == nil {
			return false
		}
		size := int(c.number(1))
		resized := make([]byte, size)
		copy(resized, f.data)
		f.change(resized)
		return true
	case "fsync", "fdatasync":
		if synced, err := filepath.Rel(d.dir, c.fdPath()); err == nil && (synced == "db" || synced == "heads") {
			in := func(name string, _ *inode) bool { return filepath.Dir(name) == synced }
			maps.DeleteFunc(d.durable, in)
			for name, f := range d.names {
				if in(name, f) {
					d.durable[name] = f
				}
			}
			return true
		}
		f := d.file(c)
		if f == nil {
			return false
		}
		f.synced, f.dirty, f.last = f.data, false, nil
		return true
	case "rename", "renameat", "renameat2":
		from, ok1 := d.name(c.path(0))
		to, ok2 := d.name(c.path(1))
		if !ok1 && !ok2 {
			return false
		}
		d.names[to] = d.names[from]
		delete(d.names, from)
		return true
	case "unlink", "unlinkat":
		name, ok := d.name(c.path(0))
		if !ok {
			return false
		}
		delete(d.names, name)
		return true
	}
	// Whatever else touches the directory must be played, too.
	require.NotContains(t, c.args, d.dir, "%v", c)
	return false
}

func (f *inode) change(data []byte) { f.data, f.dirty, f.last = data, true, nil }

// patched is content after w; a gap before it is zeros.
func patched(content []byte, w write) []byte {
	content = slices.Clone(content)
	if need := int(w.at) + len(w.data); need > len(content) {
		content = append(content, make([]byte, need-len(content))...)
	}
	copy(content[w.at:], w.data)
	return content
}

// name is a path's name below the test's directory. Shared memory is made anew by whoever
// opens the database, and the lock file has no content.
func (d *disk) name(path string) (string, bool) {
	name, inside := strings.CutPrefix(path, d.dir+"/")
	if !inside || strings.Count(name, "/") != 1 || strings.HasSuffix(path, "-shm") || strings.HasSuffix(path, ".lock") {
		return "", false
	}
	return name, true
}

// file is what the call's first argument, a descriptor, stands for.
func (d *disk) file(c call) *inode {
	name, ok := d.name(c.fdPath())
	if !ok {
		return nil
	}
	return d.names[name] // nil when it has been removed since
}

// failures are the disks that a power failure could leave now, by name:
//
//   - nothing: whatever was not synced is lost;
//   - names: names are there as seen, data that was not synced is not;
//   - a file: its name and data are there as seen, everything else is lost;
//   - with torn, the last write of a file, and none of those before it since its
//     last sync;
//   - all: everything is there, as after a kill.
func (d *disk) failures(torn bool) map[string]map[string][]byte {
	content := func(names map[string]*inode) map[string][]byte {
		files := make(map[string][]byte)
		for name, f := range names {
			files[name] = f.synced
		}
		return files
	}
	all := make(map[string][]byte)
	for name, f := range d.names {
		all[name] = f.data
	}
	found := map[string]map[string][]byte{"nothing": content(d.durable), "names": content(d.names), "all": all}
	for name, f := range d.names {
		if f.dirty {
			files := content(d.durable)
			files[name] = f.data
			found[name] = files
			if torn && f.last != nil {
				files = maps.Clone(files)
				files[name] = patched(f.synced, *f.last)
				found["the last write of "+name] = files
			}
		}
	}
	return found
}
