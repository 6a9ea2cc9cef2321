package auth

import (
	"errors"
	"fmt"
	"testing"
	"time"

	lkauth "github.com/livekit/protocol/auth"
	"github.com/stretchr/testify/require"
)

func TestRevokedTokensAreRefused(t *testing.T) {
	const secret = "0123456789abcdef0123456789abcdef"
	v, err := NewVerifier(map[string]string{"k": secret})
	require.NoError(t, err)
	token := func(room, identity string) string {
		jwt, err := lkauth.NewAccessToken("k", secret).SetIdentity(identity).
			SetVideoGrant(&lkauth.VideoGrant{RoomJoin: true, Room: room}).ToJWT()
		require.NoError(t, err)
		return jwt
	}
	refused := func(jwt string) bool {
		_, err := v.Verify(jwt)
		if err == nil {
			return false
		}
		var e *Error
		require.True(t, errors.As(err, &e))
		require.Equal(t, ReasonRevoked, e.Reason)
		require.Equal(t, 401, e.Status)
		return true
	}
	an := token("room", "an")
	claims, err := v.Verify(an)
	require.NoError(t, err)
	require.False(t, claims.NotBefore.IsZero())
	require.False(t, v.Revoke("room", "an", claims.NotBefore))
	require.False(t, refused(an), "a token that is valid since that very time is good")
	v.Revoke("room", "an", claims.NotBefore.Add(time.Second))
	require.True(t, refused(an))
	v.Revoke("room", "an", time.Unix(1, 0))
	require.True(t, refused(an), "an earlier time takes nothing back")
	require.False(t, refused(token("other", "an")))
	require.False(t, refused(token("room", "bich")))
	claims.Grants.Identity = "an#2" // as a second connection of it is called
	require.Error(t, v.CheckRevoked(claims), "claims that were verified before")
}

func TestRevocationsAreBounded(t *testing.T) {
	v, err := NewVerifier(nil)
	require.NoError(t, err)
	base := time.Unix(1_700_000_000, 0)
	for i := range maxRevocations {
		require.False(t, v.Revoke("room", fmt.Sprint(i), base.Add(time.Duration(i)*time.Second)))
	}
	require.False(t, v.Revoke("room", "1", base.Add(time.Hour)), "one known already needs no place")
	require.True(t, v.Revoke("room", "new", base.Add(2*time.Hour)))
	require.Len(t, v.revoked.before, maxRevocations)
	revoked := func(identity string) bool {
		return v.CheckRevoked(&Claims{NotBefore: base.Add(-time.Hour), holder: holder{"room", identity}}) != nil
	}
	require.False(t, revoked("0"), "the oldest is forgotten")
	require.True(t, revoked("1"))
	require.True(t, revoked("new"))
}
