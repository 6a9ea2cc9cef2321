package office

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diemcau/signaling/audit"
	"diemcau/signaling/directory"
	"diemcau/signaling/meeting"
	"diemcau/signaling/store/storetest"
)

func TestDemo(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		o := options(t, url)
		o.Demo = true
		started := time.Now()
		f, err := Open(t.Context(), o)
		require.NoError(t, err)
		t.Logf("the demonstration was made in %v", time.Since(started).Round(time.Millisecond))
		require.NoError(t, f.Ready(t.Context()))
		require.NoError(t, f.Close())
		require.NoError(t, f.Close(), "twice is no error")

		b := serve(t, o) // once more: nothing is made twice
		require.NoError(t, b.office.hub.Look(t.Context(), DemoMeeting, func(s *meeting.State) {
			require.Equal(t, meeting.Approved, s.Info.Status)
			require.Len(t, s.Agenda.Items, 3)
			roles := map[meeting.Role]int{}
			voters := 0
			for _, p := range s.People {
				roles[p.Role]++
				if p.Voting {
					voters++
				}
			}
			require.Equal(t, map[meeting.Role]int{"chair": 2, "secretary": 1, "operator": 1, "delegate": 90, "guest": 1, "observer": 1, "point": 215}, roles)
			require.Equal(t, 92, voters)
		}))
		for _, a := range DemoAccounts() {
			w := b.browser(t)
			w.signIn(a.Login, DemoPassword)
			me := w.expect(http.StatusOK, "", "GET", "/me", nil).fields(t)
			require.Nil(t, me["mustChangePassword"])
		}
		var out bytes.Buffer
		require.NoError(t, VerifyJournal(t.Context(), url, o.DataDir, "vi", &out))
		require.Contains(t, out.String(), "nguyên vẹn")
	})
}

// A store with data of its own gets no users whose password everybody knows.
func TestDemoRefusesOtherData(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		o := options(t, url)
		require.NoError(t, CreateAdministrator(t.Context(), url, o.DataDir, NewAdministrator{Login: "goc", Name: "Gốc", Password: goodPass}, o.Log))
		o.Demo = true
		_, err := Open(t.Context(), o)
		require.ErrorIs(t, err, ErrNotDemo)
		o.Demo = false
		f, err := Open(t.Context(), o)
		require.NoError(t, err, "what was opened is closed after a failure")
		require.NoError(t, f.Close())
	})
}

func TestCreateAdministrator(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		o := options(t, url)
		n := NewAdministrator{Login: "goc", Name: "Trần Văn Gốc", Password: "123"}
		require.Error(t, CreateAdministrator(t.Context(), url, o.DataDir, n, o.Log), "a bad password")
		n.Password = goodPass
		require.NoError(t, CreateAdministrator(t.Context(), url, o.DataDir, n, o.Log), "and it is no administrator yet")
		require.ErrorIs(t, CreateAdministrator(t.Context(), url, o.DataDir, NewAdministrator{Login: "hai", Name: "Hai", Password: goodPass}, o.Log), ErrAdministrator)
		require.NoError(t, CreateAdministrator(t.Context(), url, o.DataDir, NewAdministrator{Login: "goc", Password: goodPass + "!", Force: true}, o.Log))
		var out bytes.Buffer
		require.NoError(t, ListUsers(t.Context(), url, &out))
		require.Contains(t, out.String(), "administrator@GOC")
		b := serve(t, o)
		w := b.browser(t)
		w.expect(http.StatusUnauthorized, "bad_credentials", "POST", "/session", fields{"login": "goc", "password": goodPass})
		w.signIn("goc", goodPass+"!")
		page, err := b.office.audit.Search(t.Context(), audit.Filter{Action: "administrator.create"}, "", 10)
		require.NoError(t, err)
		require.Len(t, page.Records, 2)
	})
}

func TestBackupAndRestore(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		o := options(t, url)
		require.NoError(t, CreateAdministrator(t.Context(), url, o.DataDir, NewAdministrator{Login: "goc", Name: "Gốc", Password: goodPass}, o.Log))
		path := filepath.Join(t.TempDir(), "backup")
		var out bytes.Buffer
		require.NoError(t, Backup(t.Context(), url, path, &out))
		require.Error(t, Backup(t.Context(), url, path, &out), "nothing is overwritten")
		require.Error(t, Restore(t.Context(), path, Place{DatabaseURL: url, DataDir: o.DataDir}, &out), "into a database with data")
		if filepath.Ext(url) == "" && url[:7] != "sqlite:" {
			return // another empty PostgreSQL database: the store's own test
		}
		other := "sqlite:" + filepath.Join(t.TempDir(), "other.db")
		require.NoError(t, Restore(t.Context(), path, Place{DatabaseURL: other, DataDir: o.DataDir}, &out))
		o.DatabaseURL = other
		b := serve(t, o)
		b.admin(t).expect(http.StatusOK, "", "GET", "/me", nil)
	})
}

// Keys that are lost are an error, not new keys.
func TestDataDirectory(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		o := options(t, url)
		f, err := Open(t.Context(), o)
		require.NoError(t, err)
		_, err = Open(t.Context(), o)
		require.Error(t, err, "two processes of one data directory")
		require.NoError(t, f.Close())
		for _, name := range []string{"account.key", "ballot.key", "journal.key"} {
			info, err := os.Stat(filepath.Join(o.DataDir, name))
			require.NoError(t, err)
			require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), name)
		}
		require.NoError(t, os.Remove(filepath.Join(o.DataDir, "account.key")))
		_, err = Open(t.Context(), o)
		require.Error(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(o.DataDir, "ballot.key"), []byte("short"), 0o600))
		_, err = Open(t.Context(), o)
		require.ErrorContains(t, err, "ballot.key")
	})
}

func TestPermissionsInMeetings(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		ctx, root := t.Context(), b.root(t)
		p := people{b.office.directory}
		for _, c := range []struct {
			role directory.Role
			want []meeting.Permission
		}{
			{directory.Administrator, nil},
			{directory.Secretary, []meeting.Permission{meeting.PermPrepare, meeting.PermArchive, meeting.PermAssign}},
			{directory.Chair, []meeting.Permission{meeting.PermApprove}},
			{directory.Operator, []meeting.Permission{meeting.PermOperate}},
			{directory.Delegate, nil}, {directory.Guest, nil}, {directory.Observer, nil},
		} {
			u := b.member(t, string(c.role), root, directory.RoleIn{Role: c.role, UnitID: root})
			got, err := p.Permissions(ctx, "user:"+u.ID, root)
			require.NoError(t, err)
			require.Equal(t, meeting.Permissions(c.want...), got, c.role)
			info, err := p.Person(ctx, "user:"+u.ID)
			require.NoError(t, err)
			require.Equal(t, u.FullName, info.Name)
		}
		for _, identity := range []string{"user:nobody", "user:", "guest:x", "point:x", "svc:x", ""} {
			got, err := p.Permissions(ctx, identity, root)
			require.NoError(t, err)
			require.Zero(t, got)
			_, err = p.Person(ctx, identity)
			require.ErrorIs(t, err, directory.ErrNotFound)
		}
	})
}
