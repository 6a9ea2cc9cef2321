// Package storetest runs a test on each kind of database that package store
// knows: a SQLite file and a real PostgreSQL server.
package storetest

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"diemcau/signaling/store"
)

// Each runs fn twice, as the subtests "sqlite" and "postgres", with a new and
// empty database that is closed at the end of the subtest. PostgreSQL is started
// by the first test that needs it; the package's TestMain must call Main.
func Each(t *testing.T, fn func(t *testing.T, db *store.DB)) {
	t.Helper()
	EachMigrated(t, func(t *testing.T, url string) {
		fn(t, Open(t, url))
	})
}

// EachMigrated is Each for tests that open the database themselves. It has all tables
// and no rows: a copy of one that store.Open made once for the process.
func EachMigrated(t *testing.T, fn func(t *testing.T, url string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { fn(t, migratedSQLite(t)) })
	t.Run("postgres", func(t *testing.T) { fn(t, migratedPostgres(t)) })
}

// EachURL is EachMigrated with databases that have no tables yet.
func EachURL(t *testing.T, fn func(t *testing.T, url string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { fn(t, SQLite(t)) })
	t.Run("postgres", func(t *testing.T) { fn(t, Postgres(t)) })
}

// Open opens url and closes it at the end of the test.
func Open(t testing.TB, url string) *store.DB {
	t.Helper()
	db, err := store.Open(context.Background(), url)
	if err != nil {
		t.Fatalf("storetest: %v", err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("storetest: close: %v", err)
		}
	})
	return db
}

// SQLite returns the URL of a file in a new directory.
func SQLite(t testing.TB) string {
	return "sqlite:" + filepath.Join(t.TempDir(), "meetings.db")
}

// Postgres returns the URL of a new database in the test's PostgreSQL server.
func Postgres(t testing.TB) string {
	t.Helper()
	s, err := started()
	if err != nil {
		t.Fatalf("storetest: PostgreSQL: %v", err)
	}
	url, err := s.create("template1")
	if err != nil {
		t.Fatalf("storetest: PostgreSQL: %v", err)
	}
	return url
}

// pattern holds the databases that are copied. They are made once in a process.
var pattern struct {
	mu       sync.Mutex
	sqlite   []byte // the file; nil: not made yet
	postgres string // the database's name; empty: not made yet
}

// migratedSQLite is SQLite, with the tables made.
func migratedSQLite(t testing.TB) string {
	t.Helper()
	pattern.mu.Lock()
	defer pattern.mu.Unlock()
	url := SQLite(t)
	path := strings.TrimPrefix(url, "sqlite:")
	if pattern.sqlite != nil {
		if err := os.WriteFile(path, pattern.sqlite, 0o600); err != nil {
			t.Fatalf("storetest: %v", err)
		}
		return url
	}
	if err := migrate(url); err != nil {
		t.Fatalf("storetest: %v", err)
	}
	// Whoever closes last writes the log back into the file, which is all there is then.
	if files, err := os.ReadDir(filepath.Dir(path)); err != nil || len(files) != 1 {
		t.Fatalf("storetest: one file was due: %v, %v", files, err)
	}
	content, err := os.ReadFile(path) //nolint:gosec // G304: in a directory of the test's own
	if err != nil {
		t.Fatalf("storetest: %v", err)
	}
	pattern.sqlite = content
	return url
}

// migratedPostgres is Postgres, with the tables made.
func migratedPostgres(t testing.TB) string {
	t.Helper()
	s, err := started()
	if err != nil {
		t.Fatalf("storetest: PostgreSQL: %v", err)
	}
	pattern.mu.Lock()
	defer pattern.mu.Unlock()
	if pattern.postgres == "" {
		const name = "pattern"
		if _, err := s.admin.Exec("CREATE DATABASE " + name); err != nil {
			t.Fatalf("storetest: PostgreSQL: %v", err)
		}
		if err := migrate(s.url(name)); err != nil {
			t.Fatalf("storetest: %v", err)
		}
		pattern.postgres = name
	}
	url, err := s.create(pattern.postgres)
	if err != nil {
		t.Fatalf("storetest: PostgreSQL: %v", err)
	}
	return url
}

// migrate makes the tables.
func migrate(url string) error {
	db, err := store.Open(context.Background(), url)
	if err != nil {
		return err
	}
	return db.Close()
}

// Main runs the tests, stops PostgreSQL and ends the process. It is what a
// package's TestMain calls.
func Main(m *testing.M) {
	code := m.Run()
	if err := stop(); err != nil {
		fmt.Fprintln(os.Stderr, "storetest: PostgreSQL:", err)
		code = 1
	}
	os.Exit(code)
}

// server is a PostgreSQL server in a directory of its own.
type server struct {
	dir       string
	process   *os.Process
	ended     chan error // what the process ended with
	output    *lockedBuffer
	admin     *sql.DB
	databases atomic.Int64
}

// running is the server of this process.
var running struct {
	mu  sync.Mutex
	s   *server
	err error
}

func started() (*server, error) {
	running.mu.Lock()
	defer running.mu.Unlock()
	if running.s == nil && running.err == nil {
		running.s, running.err = start()
	}
	return running.s, running.err
}

func stop() error {
	running.mu.Lock()
	defer running.mu.Unlock()
	if running.s == nil {
		return nil
	}
	s := running.s
	running.s, running.err = nil, errors.New("stopped")
	return s.close()
}

// create makes a new database, a copy of another to which nobody is connected.
func (s *server) create(template string) (url string, err error) {
	name := fmt.Sprintf("test_%d", s.databases.Add(1))
	_, err = s.admin.Exec("CREATE DATABASE " + name + " TEMPLATE " + template)
	return s.url(name), err
}

func (s *server) url(database string) string {
	return fmt.Sprintf("postgres:///%s?host=%s&user=postgres", database, s.dir)
}

// start makes and starts a server that listens on a socket in its directory.
func start() (*server, error) {
	bin, err := binDir()
	if err != nil {
		return nil, err
	}
	// A socket's path has 107 characters at most: not the test's own directory.
	dir, err := os.MkdirTemp("/tmp", "storetest")
	if err != nil {
		return nil, err
	}
	s := &server{dir: dir, ended: make(chan error, 1), output: &lockedBuffer{}}
	if err := s.launch(bin); err != nil {
		return nil, errors.Join(fmt.Errorf("%w\n%s", err, s.output.String()), s.close())
	}
	return s, nil
}

func (s *server) launch(bin string) error {
	credential, err := unprivileged()
	if err != nil {
		return err
	}
	if credential != nil {
		if err := os.Chown(s.dir, int(credential.Uid), int(credential.Gid)); err != nil {
			return err
		}
	}
	data := filepath.Join(s.dir, "data")
	initdb := s.command(credential, filepath.Join(bin, "initdb"),
		"-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	if err := initdb.Run(); err != nil {
		return fmt.Errorf("initdb: %w", err)
	}
	begun := make(chan error)
	go func() {
		// The server must end with this process, however that ends. The kernel
		// watches the thread, so the thread waits.
		runtime.LockOSThread()
		cmd := s.command(credential, filepath.Join(bin, "postgres"),
			"-D", data, "-k", s.dir, "-c", "listen_addresses=", "-c", "max_connections=200")
		cmd.SysProcAttr.Pdeathsig = syscall.SIGQUIT
		if err := cmd.Start(); err != nil {
			begun <- err
			return
		}
		s.process = cmd.Process
		begun <- nil
		s.ended <- cmd.Wait()
	}()
	if err := <-begun; err != nil {
		return err
	}
	if s.admin, err = sql.Open("pgx", s.url("postgres")); err != nil {
		return err
	}
	deadline := time.Now().Add(60 * time.Second)
	for {
		err := s.admin.Ping()
		if err == nil {
			return nil
		}
		select {
		case ended := <-s.ended:
			s.process = nil
			return fmt.Errorf("the server ended: %w", errors.Join(ended, err))
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return err
		}
	}
}

func (s *server) command(credential *syscall.Credential, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...) //nolint:gosec // G204: a program of the PostgreSQL that is installed
	cmd.Dir = s.dir
	cmd.Stdout, cmd.Stderr = s.output, s.output
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
	return cmd
}

func (s *server) close() error {
	var err error
	if s.admin != nil {
		err = s.admin.Close()
	}
	if s.process != nil {
		// At once: nothing of it is kept, so there is nothing to write out first.
		err = errors.Join(err, s.process.Signal(syscall.SIGQUIT))
		select {
		case <-s.ended:
		case <-time.After(20 * time.Second):
			err = errors.Join(err, errors.New("it did not stop"), s.process.Kill())
		}
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}

// binDir finds the newest PostgreSQL of Debian's layout.
func binDir() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil {
		return "", err
	}
	best, version := "", -1
	for _, path := range found {
		v, err := strconv.Atoi(strings.Split(path, "/")[4])
		if err == nil && v > version {
			best, version = filepath.Dir(path), v
		}
	}
	if best == "" {
		return "", errors.New("not installed: no /usr/lib/postgresql/*/bin/postgres")
	}
	return best, nil
}

// unprivileged finds an account for the server, which does not run as root. It is
// nil when this process is not root's.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
		}
	}
	return nil, errors.New("no account postgres or nobody to run it as")
}

// lockedBuffer keeps the last part of what the server printed.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.b.Len() > 1<<16 {
		l.b.Reset()
	}
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
