package office

import (
	"testing"

	"github.com/stretchr/testify/require"

	"diemcau/signaling/account"
	"diemcau/signaling/directory"
)

func TestNewOIDC(t *testing.T) {
	o, err := NewOIDC("https://hop.example.vn", map[string]string{"thu-ky": "secretary"}, "VPUB", false, account.OIDCOptions{ClientID: "diemcau"})
	require.NoError(t, err)
	require.Equal(t, map[string]directory.Role{"thu-ky": directory.Secretary}, o.Roles)
	require.Equal(t, "https://hop.example.vn/api/v1/oidc/callback", o.RedirectURL)
	require.Equal(t, "https://hop.example.vn/", o.AfterLogout)
	_, err = NewOIDC("https://hop.example.vn", map[string]string{"x": "root"}, "", false, account.OIDCOptions{})
	require.ErrorContains(t, err, `"root" is no role`)
}
