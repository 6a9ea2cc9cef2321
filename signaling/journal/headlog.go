package journal

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// HeadLog is what a heads file says, for Verify.
type HeadLog struct {
	// Faults are lines that are damaged, not signed with the key, or missing.
	Faults []HeadFault
	heads  map[string][]Head // of a meeting, in the order of the file
	lines  uint64            // number of the last line that was read
	Torn   bool              // the last line is cut off, as a crash may leave it
}

// HeadFaultKind says what is wrong with a line.
type HeadFaultKind int

// The kinds of faults of a heads file.
const (
	HeadDamaged HeadFaultKind = iota // cannot be read, or the signature is wrong
	HeadMissing                      // a line number was left out
	HeadOlder                        // a head goes back in its chain
	HeadAside                        // a damaged file was put aside earlier
)

// HeadFault is one fault of a heads file.
type HeadFault struct {
	Kind HeadFaultKind
	Line int    // in the file, from 1; 0 with HeadAside
	File string // with HeadAside
}

// ReadHeads reads the heads file in dir with the public key there. It takes no
// lock, changes nothing and may run beside the server.
func ReadHeads(dir string) (*HeadLog, error) {
	raw, err := os.ReadFile(filepath.Join(dir, PublicKeyFile)) //nolint:gosec // G304: the operator names the directory
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	pub, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(raw)))
	if err != nil || len(pub) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("%w: %s is not one", ErrKey, PublicKeyFile)
	}
	if raw, err = os.ReadFile(filepath.Join(dir, HeadsFile)); err != nil { //nolint:gosec // G304: as above
		return nil, fmt.Errorf("journal: %w", err)
	}
	log := parseHeads(raw, pub)
	aside, err := fs.Glob(os.DirFS(dir), HeadsFile+".damaged-*")
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	slices.Sort(aside)
	for _, name := range aside {
		log.Faults = append(log.Faults, HeadFault{Kind: HeadAside, File: name})
	}
	return log, nil
}

// Last returns the newest head of a meeting.
func (l *HeadLog) Last(meeting string) (Head, bool) {
	heads := l.heads[meeting]
	if len(heads) == 0 {
		return Head{}, false
	}
	return heads[len(heads)-1], true
}

// parseHeads reads a heads file. A bad last line is torn, not at fault: lines are
// synced one by one, so only the last can be unfinished.
func parseHeads(raw []byte, pub ed25519.PublicKey) *HeadLog {
	log := &HeadLog{heads: make(map[string][]Head)}
	number := 0
	for len(raw) > 0 {
		number++
		text, rest, whole := bytes.Cut(raw, []byte("\n"))
		raw = rest
		n, heads, err := uint64(0), []Head(nil), errors.New("no newline")
		if whole {
			n, heads, err = parseLine(text, pub)
		}
		if err != nil {
			if len(raw) == 0 {
				log.Torn = true
			} else {
				log.Faults = append(log.Faults, HeadFault{Kind: HeadDamaged, Line: number})
			}
			continue
		}
		if number > 1 && n != log.lines+1 && len(log.Faults) == 0 {
			log.Faults = append(log.Faults, HeadFault{Kind: HeadMissing, Line: number})
		}
		log.lines = n
		for _, h := range heads {
			if old, ok := log.Last(h.Meeting); ok && h.Seq < old.Seq {
				log.Faults = append(log.Faults, HeadFault{Kind: HeadOlder, Line: number})
				continue
			}
			log.heads[h.Meeting] = append(log.heads[h.Meeting], h)
		}
	}
	return log
}
