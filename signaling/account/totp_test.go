package account

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp/hotp"
	"github.com/stretchr/testify/require"
)

// code is the one-time code of a secret at the bench's time, steps away.
func (b *bench) code(secret string, steps int64) string {
	code, err := hotp.GenerateCode(secret, uint64(b.clock.Now().Unix()/totpPeriod+steps))
	require.NoError(b.t, err)
	return code
}

// enrol turns one-time codes on for the user of w; the code of this step is used.
func (b *bench) enrol(w *browser) (secret string, recovery []string) {
	r := w.expect(http.StatusCreated, "", "POST", "/totp", fields{"password": goodPass})
	uri, err := url.Parse(r.text(b.t, "uri"))
	require.NoError(b.t, err)
	require.Equal(b.t, "otpauth", uri.Scheme)
	secret = uri.Query().Get("secret")
	r = w.expect(http.StatusOK, "", "POST", "/totp/confirm", fields{"code": b.code(secret, 0)})
	var body recoveryBody
	require.NoError(b.t, json.Unmarshal(r.body, &body))
	require.Len(b.t, body.RecoveryCodes, recoveryCodes)
	return secret, body.RecoveryCodes
}

func (b *bench) signInBody(login, code string) fields {
	return fields{"login": login, "password": goodPass, "totp": code}
}

func TestTOTP(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		w := b.browser()
		w.signIn("lan.le", goodPass)
		w.expect(http.StatusConflict, "totp_inactive", "POST", "/totp/confirm", fields{"code": "123456"})
		w.expect(http.StatusUnauthorized, "bad_credentials", "POST", "/totp", fields{"password": "sai mật khẩu rồi"})
		first := w.expect(http.StatusCreated, "", "POST", "/totp", fields{"password": goodPass}).text(t, "uri")
		require.NotEqual(t, first, w.expect(http.StatusCreated, "", "POST", "/totp", fields{"password": goodPass}).text(t, "uri"))
		w.expect(http.StatusUnauthorized, "bad_totp", "POST", "/totp/confirm", fields{"code": "12345"})
		b.browser().signIn("lan.le", goodPass) // not asked for before it is confirmed
		secret, _ := b.enrol(w)
		w.expect(http.StatusConflict, "totp_active", "POST", "/totp", fields{"password": goodPass})
		w.expect(http.StatusConflict, "totp_active", "POST", "/totp/confirm", fields{"code": b.code(secret, 1)})
		require.Equal(t, float64(10), w.expect(http.StatusOK, "", "GET", "/session", nil).field(t, "recoveryCodesLeft"))

		var sealed []byte
		require.NoError(t, b.service.db.QueryRow(t.Context(), `SELECT secret FROM account_totp`).Scan(&sealed))
		require.NotContains(t, string(sealed), secret)

		r := b.browser()
		r.expect(http.StatusUnauthorized, "totp_required", "POST", "/session", b.signInBody("lan.le", ""))
		r.expect(http.StatusUnauthorized, "bad_totp", "POST", "/session", b.signInBody("lan.le", b.code(secret, 0)))
		r.expect(http.StatusUnauthorized, "bad_totp", "POST", "/session", b.signInBody("lan.le", b.code(secret, -1)))
		r.expect(http.StatusUnauthorized, "bad_totp", "POST", "/session", b.signInBody("lan.le", b.code(secret, 2)))
		r.expect(http.StatusUnauthorized, "totp_required", "POST", "/session", b.signInBody("lan.le", ""))
		require.Equal(t, 3, b.count(`SELECT failures FROM account_failures WHERE name = 'password user lan'`),
			"asking for the code clears nothing")
		b.clock.forward(time.Minute)
		r.expect(http.StatusCreated, "", "POST", "/session", b.signInBody("lan.le", b.code(secret, 0)))
		b.browser().expect(http.StatusUnauthorized, "bad_totp", "POST", "/session", b.signInBody("lan.le", b.code(secret, 0)))
		// Without the password a right code is worth nothing, and stays good.
		b.browser().expect(http.StatusUnauthorized, "bad_credentials", "POST", "/session",
			fields{"login": "lan.le", "password": "sai mật khẩu rồi", "totp": b.code(secret, 1)})
		b.clock.forward(time.Minute)
		code := b.code(secret, 1)
		b.browser().expect(http.StatusCreated, "", "POST", "/session", b.signInBody("lan.le", code[:3]+" "+code[3:]))

		b.clock.forward(2 * time.Minute)
		w.expect(http.StatusUnauthorized, "bad_totp", "POST", "/totp/disable", fields{"password": goodPass, "code": "000000x"})
		w.expect(http.StatusUnauthorized, "bad_credentials", "POST", "/totp/disable", fields{"password": "sai mật khẩu rồi", "code": b.code(secret, 0)})
		w.expect(http.StatusNoContent, "", "POST", "/totp/disable", fields{"password": goodPass, "code": b.code(secret, 0)})
		b.browser().signIn("lan.le", goodPass)
		for _, r := range b.audited() {
			require.NotContains(t, fmt.Sprint(r), secret)
			require.NotContains(t, fmt.Sprint(r), code)
			require.NotContains(t, fmt.Sprint(r), goodPass)
		}
	})
}

func TestTOTPEnrolmentExpires(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		w := b.browser()
		w.signIn("lan.le", goodPass)
		uri, err := url.Parse(w.expect(http.StatusCreated, "", "POST", "/totp", fields{"password": goodPass}).text(t, "uri"))
		require.NoError(t, err)
		b.clock.forward(enrolmentLasts + time.Second)
		w.expect(http.StatusConflict, "totp_inactive", "POST", "/totp/confirm", fields{"code": b.code(uri.Query().Get("secret"), 0)})
	})
}

func TestRecoveryCodes(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		w := b.browser()
		w.signIn("lan.le", goodPass)
		secret, codes := b.enrol(w)
		b.browser().expect(http.StatusCreated, "", "POST", "/session", b.signInBody("lan.le", strings.ToLower(codes[0])))
		b.browser().expect(http.StatusUnauthorized, "bad_totp", "POST", "/session", b.signInBody("lan.le", codes[0]))
		b.browser().expect(http.StatusCreated, "", "POST", "/session", b.signInBody("lan.le", strings.ReplaceAll(codes[1], "-", "")))
		require.Equal(t, 8, b.count(`SELECT COUNT(*) FROM account_recovery WHERE used = 0`))

		// Another user's codes are no use.
		a := b.browser()
		a.signIn("quantri", goodPass)
		b.enrol(a)
		b.browser().expect(http.StatusUnauthorized, "bad_totp", "POST", "/session", b.signInBody("quantri", codes[2]))

		b.clock.forward(time.Minute)
		r := w.expect(http.StatusOK, "", "POST", "/totp/recovery-codes", fields{"password": goodPass, "code": b.code(secret, 0)})
		var body recoveryBody
		require.NoError(t, json.Unmarshal(r.body, &body))
		b.browser().expect(http.StatusUnauthorized, "bad_totp", "POST", "/session", b.signInBody("lan.le", codes[3]))
		b.browser().expect(http.StatusCreated, "", "POST", "/session", b.signInBody("lan.le", body.RecoveryCodes[3]))

		a.expect(http.StatusNoContent, "", "DELETE", "/accounts/lan/totp", nil)
		b.browser().signIn("lan.le", goodPass)
	})
}

// Two requests bring the same code at the same moment.
func TestOneTimeCodesAtOnce(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		w := b.browser()
		w.signIn("lan.le", goodPass)
		secret, codes := b.enrol(w)
		b.clock.forward(time.Minute)
		for _, code := range []string{b.code(secret, 0), codes[0]} {
			right := make(chan bool, 2)
			var group sync.WaitGroup
			for range cap(right) {
				group.Go(func() { right <- b.service.checkCode(t.Context(), "lan", code, nil) == nil })
			}
			group.Wait()
			require.NotEqual(t, <-right, <-right, "one wins, one loses")
		}
	})
}

// Who knows the password guesses codes: asking for the code in between must not
// clear the count, and locks double.
func TestTOTPBruteForce(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		w := b.browser()
		w.signIn("lan.le", goodPass)
		b.enrol(w)
		tried := 0
		for range 24 * 6 { // a day
			b.browser().do("POST", "/session", b.signInBody("lan.le", ""))
			for _, code := range []string{"wrong1", "wrong2"} {
				if r := b.browser().do("POST", "/session", b.signInBody("lan.le", code)); r.text(t, "code") == "bad_totp" {
					tried++
				}
			}
			b.clock.forward(10 * time.Minute)
		}
		require.LessOrEqual(t, tried, 80)
		require.Greater(t, tried, 10)
	})
}
