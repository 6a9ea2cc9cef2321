package loadtest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/livekit/protocol/auth"
	"github.com/stretchr/testify/require"
)

// claims signs arbitrary claims with HS256 (RFC 7515, appendix A.1).
func claims(t testing.TB, secret string, c map[string]any) string {
	t.Helper()
	body, err := json.Marshal(c)
	require.NoError(t, err)
	part := base64.RawURLEncoding.EncodeToString
	signed := part([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + part(body)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(signed))
	return signed + "." + part(mac.Sum(nil))
}

// TestTokens: every bad token is refused before the upgrade with the right
// status, the same on all endpoints.
func TestTokens(t *testing.T) {
	t.Parallel()
	srv := server(t)
	room := roomName(t)
	join := map[string]any{"roomJoin": true, "room": room}
	now := time.Now().Unix()
	good := func(changed map[string]any) map[string]any {
		c := map[string]any{"iss": srv.Key, "sub": "an", "nbf": now - 10, "exp": now + 600, "video": join}
		for k, v := range changed {
			if v == nil {
				delete(c, k)
			} else {
				c[k] = v
			}
		}
		return c
	}
	valid := claims(t, srv.Secret, good(nil))
	head, rest, _ := strings.Cut(valid, ".")
	_, signature, _ := strings.Cut(rest, ".")
	otherBody := base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"` + srv.Key + `","sub":"boss","exp":9999999999,"video":{"roomJoin":true,"room":"` + room + `"}}`))
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`))
	for _, c := range []struct {
		name, token string
		status      int
	}{
		{"valid", valid, http.StatusOK},
		{"missing", "", http.StatusUnauthorized},
		{"garbage", "not.a.token", http.StatusUnauthorized},
		{"unknown key", claims(t, srv.Secret, good(map[string]any{"iss": "nobody"})), http.StatusUnauthorized},
		{"wrong secret", claims(t, "another-secret-another-secret-another", good(nil)), http.StatusUnauthorized},
		{"other body under the signature", head + "." + otherBody + "." + signature, http.StatusUnauthorized},
		{"no signature", none + "." + otherBody + ".", http.StatusUnauthorized},
		{"expired", claims(t, srv.Secret, good(map[string]any{"nbf": now - 7200, "exp": now - 3600})), http.StatusUnauthorized},
		{"not yet valid", claims(t, srv.Secret, good(map[string]any{"nbf": now + 3600, "exp": now + 7200})), http.StatusUnauthorized},
		{"no grant", claims(t, srv.Secret, good(map[string]any{"video": nil})), http.StatusForbidden},
		{"no roomJoin", claims(t, srv.Secret, good(map[string]any{"video": map[string]any{"room": room}})), http.StatusForbidden},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, path := range []string{"/rtc/validate", "/rtc/v1/validate"} {
				status, body := get(t, path, c.token)
				require.Equal(t, c.status, status, "%s: %s", path, body)
				if c.status == http.StatusOK {
					require.Equal(t, "success", body)
				} else {
					require.NotEmpty(t, body, "it says why")
					require.NotContains(t, body, srv.Secret)
				}
			}
			if c.status == http.StatusOK {
				return
			}
			conn, resp, err := websocket.DefaultDialer.Dial(signalURL(t, "ws", "/rtc", nil), http.Header{"Authorization": {"Bearer " + c.token}})
			if err == nil {
				conn.Close()
			}
			require.ErrorIs(t, err, websocket.ErrBadHandshake)
			want, _ := get(t, "/rtc/validate", c.token)
			require.Equal(t, want, resp.StatusCode, "the upgrade fails as validate does")
		})
	}
}

// get fetches a validation endpoint with the token in the header.
func get(t testing.TB, path, token string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, signalURL(t, "http", path, nil), nil)
	require.NoError(t, err)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, strings.TrimSpace(string(b))
}

// TestTokenDecides: identity and room are the token's, whatever the URL says.
func TestTokenDecides(t *testing.T) {
	t.Parallel()
	token := mint(t, roomName(t), "an", nil)
	query := url.Values{"access_token": {token}, "identity": {"boss"}, "room": {roomName(t)}}
	conn, _, err := websocket.DefaultDialer.Dial(signalURL(t, "ws", "/rtc", query), nil)
	require.NoError(t, err)
	j := newRawClient(t, conn).awaitJoin()
	require.Equal(t, roomName(t), j.GetRoom().GetName())
	require.Equal(t, "an", j.GetParticipant().GetIdentity())

	query.Set("room", "another")
	conn, resp, err := websocket.DefaultDialer.Dial(signalURL(t, "ws", "/rtc", query), nil)
	if err == nil {
		conn.Close()
	}
	require.ErrorIs(t, err, websocket.ErrBadHandshake, "a token for another room")
	require.Equal(t, http.StatusForbidden, resp.StatusCode)
}

func TestSDKReportsABadToken(t *testing.T) {
	inBothModes(t, func(t *testing.T, m mode) {
		_, err := tryJoin(t, roomName(t), "an", withMode(m), withToken(func(at *auth.AccessToken) {
			*at = *auth.NewAccessToken(server(t).Key, "another-secret-another-secret-another").SetIdentity("an")
		}))
		require.Error(t, err)
	})
}
