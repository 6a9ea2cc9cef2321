package office

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diemcau/signaling/journal"
	"diemcau/signaling/store"
	"diemcau/signaling/store/storetest"
)

// TestCommandsOfAWrongPlace: who names the wrong database is told so. A backup of nothing
// and a journal without meetings would look like success.
func TestCommandsOfAWrongPlace(t *testing.T) {
	dir := t.TempDir()
	wrong := filepath.Join(dir, "wrong.db")
	var out bytes.Buffer
	backup := filepath.Join(dir, "backup")
	require.ErrorIs(t, Backup(t.Context(), "sqlite:"+wrong, backup, &out), store.ErrNoDatabase)
	require.ErrorIs(t, VerifyJournal(t.Context(), "sqlite:"+wrong, dir, "vi", &out), store.ErrNoDatabase)
	require.Empty(t, out.String())
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, files, "nothing is made")
}

// TestRestoreBesideTheServer is refused: what the server has in memory would be written
// over what was restored.
func TestRestoreBesideTheServer(t *testing.T) {
	o := options(t, storetest.SQLite(t))
	require.NoError(t, CreateAdministrator(t.Context(), o.DatabaseURL, o.DataDir, NewAdministrator{Login: "goc", Name: "Gốc", Password: goodPass}, o.Log))
	path := filepath.Join(t.TempDir(), "backup")
	var out bytes.Buffer
	require.NoError(t, Backup(t.Context(), o.DatabaseURL, path, &out))
	f, err := Open(t.Context(), Options{DatabaseURL: storetest.SQLite(t), DataDir: o.DataDir, Mint: mint{}, Hash: cheapHash, Log: o.Log})
	require.NoError(t, err)
	target := Place{DatabaseURL: storetest.SQLite(t), DataDir: o.DataDir}
	require.ErrorContains(t, Restore(t.Context(), path, target, &out), "another process")
	_, err = store.OpenExisting(t.Context(), target.DatabaseURL)
	require.ErrorIs(t, err, store.ErrNoDatabase)
	require.NoError(t, f.Close())
	require.NoError(t, Restore(t.Context(), path, target, &out))
}

// TestRestoreOfAnEarlierDay says which meetings the server will not open, and what is to
// be done about it; afterwards it opens them.
func TestRestoreOfAnEarlierDay(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		o := options(t, url)
		o.Demo = true
		f, err := Open(t.Context(), o)
		require.NoError(t, err)
		path := filepath.Join(t.TempDir(), "backup")
		var out bytes.Buffer
		require.NoError(t, Backup(t.Context(), url, path, &out))
		later(t, f)
		require.NoError(t, f.Close())

		o.DatabaseURL = storetest.SQLite(t)
		if !strings.HasPrefix(url, "sqlite:") {
			o.DatabaseURL = storetest.Postgres(t)
		}
		out.Reset()
		require.NoError(t, Restore(t.Context(), path, Place{DatabaseURL: o.DatabaseURL, DataDir: o.DataDir}, &out))
		require.Contains(t, out.String(), DemoMeeting)
		require.Contains(t, out.String(), "cất riêng tệp "+journal.HeadsFile)
		f, err = Open(t.Context(), o)
		if err == nil {
			require.NoError(t, f.Close())
		}
		require.ErrorIs(t, err, journal.ErrTampered, "the demonstration's meeting is not the one that was signed")

		heads := filepath.Join(o.DataDir, journal.HeadsFile)
		require.NoError(t, os.Rename(heads, heads+".truoc"))
		f, err = Open(t.Context(), o)
		require.NoError(t, err)
		later(t, f)
		require.NoError(t, f.Close())
	})
}

// TestSessionsDoNotComeBack by a restore: one that was ended after the backup was made
// stays ended. Points need not be enrolled again.
func TestSessionsDoNotComeBack(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		w := b.admin(t)
		unit := b.root(t)
		point := w.expect(http.StatusOK, "", "POST", "/points", fields{"code": "P1", "name": "Điểm cầu 1", "unitId": unit, "kind": "room_device"}).text(t, "id")
		code := w.expect(http.StatusCreated, "", "POST", "/devices/codes", fields{"point": point}).text(t, "code")
		device := b.browser(t)
		device.expect(http.StatusCreated, "", "POST", "/devices/enrol", fields{"code": code})
		path := filepath.Join(t.TempDir(), "backup")
		var out bytes.Buffer
		require.NoError(t, Backup(t.Context(), b.office.o.DatabaseURL, path, &out))
		cookies := func(w *browser) []*http.Cookie {
			at, err := url.Parse(w.base)
			require.NoError(t, err)
			return w.http.Jar.Cookies(at)
		}
		stolen, enrolled := cookies(w), cookies(device)
		require.NotEmpty(t, stolen)
		w.expect(http.StatusOK, "", "DELETE", "/session", nil)

		o := options(t, storetest.SQLite(t))
		if !strings.HasPrefix(b.office.o.DatabaseURL, "sqlite:") {
			o.DatabaseURL = storetest.Postgres(t)
		}
		for _, name := range []string{"account.key", "ballot.key"} {
			key, err := os.ReadFile(filepath.Join(b.office.o.DataDir, name))
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(o.DataDir, name), key, 0o600))
		}
		require.NoError(t, Restore(t.Context(), path, Place{DatabaseURL: o.DatabaseURL, DataDir: o.DataDir}, &out))
		restored := serve(t, o)
		for status, of := range map[int][]*http.Cookie{http.StatusUnauthorized: stolen, http.StatusOK: enrolled} {
			who := restored.browser(t)
			at, err := url.Parse(who.base)
			require.NoError(t, err)
			who.http.Jar.SetCookies(at, of)
			who.expect(status, "", "GET", "/me", nil)
		}
	})
}

// TestReadyOfABusyStore says that it is not ready, and does not wait with those who wait.
func TestReadyOfABusyStore(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		f, err := Open(t.Context(), options(t, url))
		require.NoError(t, err)
		defer f.Close()
		require.NoError(t, f.Ready(t.Context()))
		for { // hold every connection that reads
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			waiting := time.AfterFunc(500*time.Millisecond, cancel)
			rows, err := f.db.Query(ctx, `SELECT 1`)
			if err != nil {
				break
			}
			require.True(t, waiting.Stop())
			defer rows.Close()
		}
		done := make(chan error, 1)
		go func() { done <- f.Ready(t.Context()) }()
		select {
		case err := <-done:
			require.Error(t, err)
		case <-time.After(20 * time.Second):
			require.Fail(t, "it waits")
		}
	})
}
