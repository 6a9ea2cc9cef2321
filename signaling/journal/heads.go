package journal

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// Names of the files in the data directory.
const (
	KeyFile       = "journal.key"
	PublicKeyFile = "journal.pub"
	HeadsFile     = "journal.heads"
	lockName      = "journal.lock"
)

// compactAt is the least size in bytes of a heads file that is rewritten.
const compactAt = 1 << 20

// Head is the end of a chain at some moment.
type Head struct {
	Meeting string
	Seq     uint64
	Hash    Hash
}

// Heads signs chain heads into a file. The package comment describes it. Its
// methods may be called at the same time.
type Heads struct {
	dir    string
	key    ed25519.PrivateKey
	unlock func()

	mu    sync.Mutex
	file  *os.File // nil after a failure, until a rewrite
	size  int64    // bytes that are whole and synced
	limit int64    // size from which the file is rewritten
	floor int64    // the least limit
	n     uint64   // of the last line
	last  map[string]Head
}

// ErrKey reports a key that is missing or not ours.
var ErrKey = errors.New("journal: the key of the signed heads")

// OpenHeads opens or makes the key and the heads file in dir, a directory that
// exists. One process at a time may have them open. A torn last line is cut off.
// A file that is damaged elsewhere is put aside as journal.heads.damaged-N, the
// heads that can still be read are signed anew, and ReadHeads goes on reporting it.
func OpenHeads(dir string) (*Heads, error) {
	unlock, err := Lock(dir)
	if err != nil {
		return nil, err
	}
	h := &Heads{dir: dir, unlock: unlock, floor: compactAt, last: make(map[string]Head)}
	if err := h.open(); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

// Lock keeps heads in dir from being opened until unlock. It fails while a process has
// them open.
func Lock(dir string) (unlock func(), err error) {
	unlock, err = lockFile(filepath.Join(dir, lockName))
	if err != nil {
		return nil, fmt.Errorf("journal: %s: another process has it open: %w", dir, err)
	}
	return unlock, nil
}

func (h *Heads) open() (err error) {
	if h.key, err = h.loadKey(); err != nil {
		return err
	}
	raw, err := os.ReadFile(h.path())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("journal: %w", err)
	}
	log := parseHeads(raw, h.key.Public().(ed25519.PublicKey)) //nolint:errcheck // an Ed25519 key has one
	h.n = log.lines
	for m, heads := range log.heads {
		h.last[m] = heads[len(heads)-1]
	}
	if len(log.Faults) > 0 {
		if err := h.putAside(); err != nil {
			return fmt.Errorf("journal: %s is damaged and cannot be put aside: %w", h.path(), err)
		}
	}
	// A rewrite makes the file, cuts a torn line and is on disk in one way.
	return h.rewrite()
}

func (h *Heads) path() string { return filepath.Join(h.dir, HeadsFile) }

// putAside keeps a damaged heads file under another name. It is a link, so that
// a crash leaves the file under one name at least.
func (h *Heads) putAside() error {
	for i := 1; ; i++ {
		name := fmt.Sprintf("%s.damaged-%d", h.path(), i)
		err := os.Link(h.path(), name)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		return errors.Join(err, syncDir(h.dir))
	}
}

// loadKey reads the key, or makes it when this directory is new.
func (h *Heads) loadKey() (ed25519.PrivateKey, error) {
	path := filepath.Join(h.dir, KeyFile)
	raw, err := os.ReadFile(path) //nolint:gosec // G304: in the operator's data directory
	switch {
	case err == nil:
		seed, err := hex.DecodeString(string(bytes.TrimSpace(raw)))
		if err != nil || len(seed) != ed25519.SeedSize {
			return nil, fmt.Errorf("%w: %s is not one", ErrKey, path)
		}
		key := ed25519.NewKeyFromSeed(seed)
		return key, h.publish(key)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	for _, name := range []string{HeadsFile, PublicKeyFile} {
		if _, err := os.Lstat(filepath.Join(h.dir, name)); !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w: %s is missing, and %s is there", ErrKey, path, name)
		}
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	if err := replaceFile(path, []byte(hex.EncodeToString(key.Seed())+"\n"), 0o600); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return key, h.publish(key)
}

// publish makes the public key file, which a crash may have left out.
func (h *Heads) publish(key ed25519.PrivateKey) error {
	path := filepath.Join(h.dir, PublicKeyFile)
	want := base64.StdEncoding.EncodeToString(key.Public().(ed25519.PublicKey)) + "\n" //nolint:errcheck // an Ed25519 key has one
	have, err := os.ReadFile(path)                                                     //nolint:gosec // G304: in the operator's data directory
	if err == nil && string(have) == want {
		return nil
	}
	if err == nil {
		return fmt.Errorf("%w: %s is of another key", ErrKey, path)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", ErrKey, err)
	}
	if err := replaceFile(path, []byte(want), 0o644); err != nil {
		return fmt.Errorf("%w: %w", ErrKey, err)
	}
	return nil
}

// Last returns the newest head of a meeting.
func (h *Heads) Last(meeting string) (Head, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	head, ok := h.last[meeting]
	return head, ok
}

// Append signs the heads, at most one of a meeting, and returns when they are on
// disk. A head that is not newer than the last one of its meeting is left out. After an
// error it is not known whether they are, Last does not tell of them, and the next
// Append writes the file anew.
func (h *Heads) Append(heads []Head) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	newer := make([]Head, 0, len(heads))
	for _, head := range heads {
		if head.Seq > h.last[head.Meeting].Seq {
			newer = append(newer, head)
		}
	}
	if len(newer) == 0 && h.file != nil {
		return nil
	}
	if err := h.write(newer); err != nil {
		return err
	}
	for _, head := range newer {
		h.last[head.Meeting] = head
	}
	return nil
}

func (h *Heads) write(newer []Head) error {
	if h.file == nil || h.size >= h.limit {
		return h.rewrite(newer...)
	}
	h.n++
	line := signLine(h.key, h.n, newer)
	_, err := h.file.WriteAt(line, h.size)
	if err == nil {
		err = h.file.Sync()
	}
	if err != nil {
		// What a failed sync has left in the page cache is not to be trusted.
		_ = h.file.Close()
		h.file = nil
		return fmt.Errorf("journal: %w", err)
	}
	h.size += int64(len(line))
	return nil
}

// rewrite replaces the file by one line with the newest heads, those of newer in place
// of the last. Until the rename is on disk the old file stands.
func (h *Heads) rewrite(newer ...Head) error {
	if h.file != nil {
		_ = h.file.Close() // synced
		h.file = nil
	}
	h.n++
	last := maps.Clone(h.last)
	for _, head := range newer {
		last[head.Meeting] = head
	}
	heads := slices.SortedFunc(maps.Values(last), func(a, b Head) int { return cmp.Compare(a.Meeting, b.Meeting) })
	line := signLine(h.key, h.n, heads)
	if err := replaceFile(h.path(), line, 0o600); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	f, err := os.OpenFile(h.path(), os.O_WRONLY, 0) //nolint:gosec // G703: in the operator's data directory
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	h.file, h.size = f, int64(len(line))
	h.limit = max(h.floor, 4*h.size)
	return nil
}

// Close closes the file. Everything is on disk already.
func (h *Heads) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var err error
	if h.file != nil {
		err = h.file.Close()
		h.file = nil
	}
	h.unlock()
	return err
}

// replaceFile puts a file of this content under path, all or nothing, and on disk
// with its directory entry.
func replaceFile(path string, content []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, mode) //nolint:gosec // G304: in the operator's data directory
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil { //nolint:gosec // G703: as above
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	f, err := os.Open(dir) //nolint:gosec // G304: the operator's data directory
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// line is one line of the file.
type line struct {
	N     uint64     `json:"n"`
	Heads []lineHead `json:"heads"`
	Sig   []byte     `json:"sig"`
}

type lineHead struct {
	Meeting string `json:"meeting"`
	Seq     uint64 `json:"seq"`
	Hash    string `json:"hash"`
}

func signLine(key ed25519.PrivateKey, n uint64, heads []Head) []byte {
	l := line{N: n, Heads: make([]lineHead, len(heads)), Sig: ed25519.Sign(key, signedBytes(n, heads))}
	for i, h := range heads {
		l.Heads[i] = lineHead{h.Meeting, h.Seq, h.Hash.String()}
	}
	b, err := json.Marshal(l)
	if err != nil {
		panic(err) // strings and numbers
	}
	return append(b, '\n')
}

func signedBytes(n uint64, heads []Head) []byte {
	b := binary.BigEndian.AppendUint64([]byte("diemcau.heads.1\n"), n)
	b = binary.BigEndian.AppendUint32(b, uint32(len(heads)))
	for _, h := range heads {
		b = appendBytes(b, h.Meeting)
		b = binary.BigEndian.AppendUint64(b, h.Seq)
		b = append(b, h.Hash[:]...)
	}
	return b
}

// parseLine reads a line without its newline and checks its signature.
func parseLine(raw []byte, pub ed25519.PublicKey) (n uint64, heads []Head, err error) {
	var l line
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&l); err != nil || dec.More() {
		return 0, nil, errors.New("not readable")
	}
	for _, lh := range l.Heads {
		hash, err := hex.DecodeString(lh.Hash)
		if err != nil || len(hash) != len(Hash{}) {
			return 0, nil, errors.New("not readable")
		}
		heads = append(heads, Head{Meeting: lh.Meeting, Seq: lh.Seq, Hash: Hash(hash)})
	}
	if !ed25519.Verify(pub, signedBytes(l.N, heads), l.Sig) {
		return 0, nil, errors.New("the signature is wrong")
	}
	return l.N, heads, nil
}
