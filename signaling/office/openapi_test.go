package office

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/stretchr/testify/require"

	"diemcau/signaling/store/storetest"
)

const openAPIPath = "../../docs/openapi.json"

// The description is made from the code, complete, and the one in docs.
func TestOpenAPI(t *testing.T) {
	b := serve(t, options(t, storetest.SQLite(t)))
	r := b.browser(t).expect(http.StatusOK, "", "GET", "/openapi.json", nil)
	if *update {
		require.NoError(t, os.WriteFile(openAPIPath, append(r.body, '\n'), 0o644))
	}
	want, err := os.ReadFile(openAPIPath)
	require.NoError(t, err)
	require.Equal(t, string(want), string(r.body)+"\n", "run the test with -update")

	var doc struct{ Paths map[string]map[string]any }
	require.NoError(t, json.Unmarshal(r.body, &doc))
	described := 0
	require.NoError(t, chi.Walk(b.router, func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		path, ok := strings.CutPrefix(route, "/api/v1")
		if !ok || path == "/openapi.json" {
			return nil
		}
		described++
		require.Contains(t, doc.Paths[path], strings.ToLower(method), "%s %s is not described", method, path)
		return nil
	}))
	n := 0
	for _, methods := range doc.Paths {
		n += len(methods)
	}
	require.Equal(t, described, n, "what is described is there")
}
