package storetest

import (
	"bytes"
	"errors"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// Wire is the line between a program and its PostgreSQL, for tests in which it fails.
type Wire struct {
	listener net.Listener
	server   string // path of its socket
	running  sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]struct{}  // guarded by mu
	next  func(c *crossing) bool // guarded by mu: what is done with the next COMMIT; false: it is not passed on
}

// crossing is one connection.
type crossing struct {
	client, server net.Conn
	mu             sync.Mutex
	mute           bool // guarded by mu: an answer ends the connection and is not passed on
}

const socketName = ".s.PGSQL.5432"

// NewWire gives the URL of the same database by way of a wire, which ends with the test.
func NewWire(t testing.TB, through string) (*Wire, string) {
	t.Helper()
	u, err := url.Parse(through)
	if err != nil {
		t.Fatalf("storetest: %v", err)
	}
	q := u.Query()
	dir, err := os.MkdirTemp("/tmp", "wire")
	if err != nil {
		t.Fatalf("storetest: %v", err)
	}
	w := &Wire{server: filepath.Join(q.Get("host"), socketName), conns: make(map[net.Conn]struct{})}
	if w.listener, err = net.Listen("unix", filepath.Join(dir, socketName)); err != nil {
		t.Fatalf("storetest: %v", err)
	}
	w.running.Add(1)
	go w.accept()
	t.Cleanup(func() {
		_ = w.listener.Close()
		w.Cut()
		w.running.Wait()
		_ = os.RemoveAll(dir)
	})
	q.Set("host", dir)
	u.RawQuery = q.Encode()
	return w, u.String()
}

// LoseAnswer has the next COMMIT reach the server, and the line break before its answer.
func (w *Wire) LoseAnswer() {
	w.onCommit(func(c *crossing) bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.mute = true
		return true
	})
}

// LoseCommit has the line break before the next COMMIT reaches the server.
func (w *Wire) LoseCommit() {
	w.onCommit(func(c *crossing) bool {
		_ = errors.Join(c.client.Close(), c.server.Close())
		return false
	})
}

// Swallow has the next COMMIT lost, and the line stay open without a word.
func (w *Wire) Swallow() { w.onCommit(func(*crossing) bool { return false }) }

func (w *Wire) onCommit(fn func(c *crossing) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.next = fn
}

// Cut breaks all connections.
func (w *Wire) Cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.conns {
		_ = c.Close()
	}
}

func (w *Wire) accept() {
	defer w.running.Done()
	for {
		client, err := w.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("unix", w.server)
		if err != nil {
			_ = client.Close()
			continue
		}
		c := &crossing{client: client, server: server}
		w.mu.Lock()
		w.conns[client], w.conns[server] = struct{}{}, struct{}{}
		w.mu.Unlock()
		w.running.Add(2)
		go w.there(c)
		go w.back(c)
	}
}

// end closes both ends.
func (w *Wire) end(c *crossing) {
	_ = errors.Join(c.client.Close(), c.server.Close())
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.conns, c.client)
	delete(w.conns, c.server)
}

// there passes on what the program sends. A COMMIT comes in one piece: it is short, and
// the program waits for the answer before it.
func (w *Wire) there(c *crossing) {
	defer w.running.Done()
	defer w.end(c)
	b := make([]byte, 64<<10)
	for {
		n, err := c.client.Read(b)
		if err != nil {
			return
		}
		pass := true
		if bytes.Contains(bytes.ToLower(b[:n]), []byte("commit\x00")) {
			w.mu.Lock()
			fn := w.next
			w.next = nil
			w.mu.Unlock()
			if fn != nil {
				pass = fn(c)
			}
		}
		if !pass {
			continue
		}
		if _, err := c.server.Write(b[:n]); err != nil {
			return
		}
	}
}

// back passes on what the server answers.
func (w *Wire) back(c *crossing) {
	defer w.running.Done()
	defer w.end(c)
	b := make([]byte, 64<<10)
	for {
		n, err := c.server.Read(b)
		if err != nil {
			return
		}
		c.mu.Lock()
		mute := c.mute
		c.mu.Unlock()
		if mute {
			return
		}
		if _, err := c.client.Write(b[:n]); err != nil {
			return
		}
	}
}
