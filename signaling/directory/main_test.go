package directory

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"diemcau/signaling/store"
	"diemcau/signaling/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// each runs fn on an empty directory in both databases.
func each(t *testing.T, fn func(t *testing.T, d *Directory)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, db *store.DB) { fn(t, New(db)) })
}

func code(err error) string {
	var e *Error
	if err == nil {
		return ""
	}
	if !asError(err, &e) {
		return "not an *Error: " + err.Error()
	}
	return e.Code
}

func mustUnit(t testing.TB, d *Directory, code, parent string) Unit {
	t.Helper()
	u, err := d.CreateUnit(context.Background(), Unit{Code: code, ParentID: parent, Name: "Đơn vị " + code})
	require.NoError(t, err)
	return u
}

func mustUser(t testing.TB, d *Directory, login, name, unit string) User {
	t.Helper()
	u, err := d.CreateUser(context.Background(), User{Login: login, FullName: name, UnitID: unit, Enabled: true})
	require.NoError(t, err)
	return u
}
