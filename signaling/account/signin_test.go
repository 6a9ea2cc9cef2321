package account

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"diemcau/signaling/store"
	"diemcau/signaling/store/storetest"
)

func TestSignInAndOut(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		w := b.browser()
		w.expect(http.StatusUnauthorized, "not_signed_in", "GET", "/session", nil)
		w.expect(http.StatusUnauthorized, "not_signed_in", "GET", "/whoami", nil)
		r := w.signIn("Lan.Le", goodPass)
		require.Equal(t, "Lê Thị Lan", r.text(t, "name"))
		require.Regexp(t, `^user:lan#[a-z2-9]{8}$`, r.text(t, "identity"))
		require.Equal(t, "no-store", r.Header.Get("Cache-Control"))
		require.Equal(t, Record{Who: "user:lan", From: "127.0.0.1", Action: "session.create", Object: "user:lan", Result: "ok",
			At: b.clock.Now()}, b.lastRecord())

		again := w.expect(http.StatusOK, "", "GET", "/session", nil)
		require.Equal(t, r.text(t, "csrfToken"), again.text(t, "csrfToken"))
		w.expect(http.StatusOK, "", "GET", "/whoami", nil)

		identity := r.text(t, "identity")
		r = w.signIn("lan.le", goodPass)
		require.Equal(t, identity, r.text(t, "identity"), "one browser of one user is one device")
		require.NotEqual(t, identity, b.browser().signIn("lan.le", goodPass).text(t, "identity"))

		old := w.cookie("diemcau")
		w.expect(http.StatusOK, "", "DELETE", "/session", nil)
		require.Empty(t, w.cookie("diemcau"))
		w.setCookie("diemcau", old)
		w.expect(http.StatusUnauthorized, "not_signed_in", "GET", "/whoami", nil)
	})
}

// The parts of the body in a composed and a decomposed form are one password.
func TestPasswordIsNormalised(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		decomposed := "Ca\u0302\u0300u Ha\u0300m Ro\u0302\u0300ng 1964"
		require.NotEqual(t, goodPass, decomposed)
		b.browser().signIn("lan.le", decomposed)
	})
}

func TestBruteForceLocks(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		w := b.browser()
		tried := 0
		for i := range 200 { // a guess each half second
			if w.try("lan.le", fmt.Sprintf("sai mật khẩu %d", i)).StatusCode == http.StatusUnauthorized {
				tried++
			}
			b.clock.forward(500 * time.Millisecond)
		}
		require.LessOrEqual(t, tried, 10, "in 100 s")
		for b.count(`SELECT failures FROM account_failures WHERE name = 'password user lan'`) < 10 {
			w.try("lan.le", "sai mật khẩu nữa")
			b.clock.forward(30 * time.Second)
		}
		b.clock.forward(14 * time.Minute)
		r := w.expect(http.StatusTooManyRequests, "throttled", "POST", "/session", fields{"login": "lan.le", "password": goodPass})
		require.NotEmpty(t, r.Header.Get("Retry-After"))
		require.Equal(t, "throttled", b.lastRecord().Result)
		require.Equal(t, "user:lan", b.lastRecord().Object)
		// Another spelling is the same account.
		w.expect(http.StatusTooManyRequests, "throttled", "POST", "/session", fields{"login": "LAN.LÊ", "password": goodPass})
		b.browser().signIn("quantri", goodPass) // another account is free

		// A restart forgets nothing.
		o := b.service.options
		again, err := New(t.Context(), o)
		require.NoError(t, err)
		b.service = again
		server := httptest.NewServer(b.handler())
		defer server.Close()
		after := b.browser()
		after.base = server.URL
		after.expect(http.StatusTooManyRequests, "throttled", "POST", "/session", fields{"login": "lan.le", "password": goodPass})
		b.clock.forward(16 * time.Minute)
		after.signIn("lan.le", goodPass)
		require.Zero(t, b.count(`SELECT COUNT(*) FROM account_failures WHERE name = 'password user lan'`))
	})
}

// Many guesses at the same moment are no more than one after the other.
func TestBruteForceAtOnce(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		before := b.service.hasher.checks.Load()
		var group sync.WaitGroup
		for i := range 40 {
			group.Go(func() {
				a := attempt{login: "lan.le", password: fmt.Sprintf("sai mật khẩu %d", i), client: client{address: "10.0.0.1"}}
				_, err := b.service.signIn(context.Background(), a)
				if err == nil {
					t.Error("a wrong password was accepted")
				}
			})
		}
		group.Wait()
		require.LessOrEqual(t, b.service.hasher.checks.Load()-before, int64(limitAccount.free+1))
	})
}

func lockOut(t *testing.T, b *bench, login, counterName string) {
	t.Helper()
	w := b.browser()
	for b.count(`SELECT COUNT(*) FROM account_failures WHERE name = $1 AND until > $2`, counterName,
		millis(b.clock.Now().Add(5*time.Minute))) == 0 {
		w.try(login, "sai mật khẩu rồi")
		b.clock.forward(31 * time.Second)
	}
	w.expect(http.StatusTooManyRequests, "throttled", "POST", "/session", fields{"login": login, "password": goodPass})
}

func TestOwnersDeviceIsNotLockedOut(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		owner, other := b.browser(), b.browser()
		owner.signIn("lan.le", goodPass)
		owner.expect(http.StatusOK, "", "DELETE", "/session", nil)
		owner.csrf = ""
		other.signIn("quantri", goodPass)
		lockOut(t, b, "lan.le", "password user lan from 127.0.0.1/32")

		b.browser().expect(http.StatusTooManyRequests, "", "POST", "/session", fields{"login": "lan.le", "password": goodPass})
		mark := owner.cookie("diemcau-device")
		require.NotEmpty(t, mark)
		for name, forged := range map[string]string{
			"another user's":   other.cookie("diemcau-device"),
			"other user in it": strings.Replace(mark, ".bGFu.", ".YWRtaW4.", 1),
			"cut":              mark[:len(mark)-2],
			"other device":     "0000" + mark[4:],
			"empty parts":      "....",
			"long":             strings.Repeat("~", 3000),
		} {
			thief := b.browser()
			thief.setCookie("diemcau-device", forged)
			r := thief.try("lan.le", goodPass)
			require.Equal(t, http.StatusTooManyRequests, r.StatusCode, name)
		}
		owner.signIn("lan.le", goodPass)
		require.NotZero(t, b.count(`SELECT failures FROM account_failures WHERE name = 'password user lan'`),
			"the owner's success must give strangers no more guesses")

		// The known device has a limit of its own, which its thief cannot pass.
		thief := b.browser()
		thief.setCookie("diemcau-device", owner.cookie("diemcau-device"))
		tried := 0
		for range 100 {
			if thief.try("lan.le", "đoán bừa thôi mà").StatusCode == http.StatusUnauthorized {
				tried++
			}
			b.clock.forward(5 * time.Second)
		}
		require.LessOrEqual(t, tried, 10)

		// A new password makes the device unknown.
		b.clock.forward(time.Hour)
		require.NoError(t, b.service.SetPassword(t.Context(), b.people.users["lan"], "mật khẩu mới toanh", false))
		lockOut(t, b, "lan.le", "password user lan from 127.0.0.1/32")
		owner.csrf = ""
		require.Equal(t, http.StatusTooManyRequests, owner.try("lan.le", "mật khẩu mới toanh").StatusCode)
	})
}

// Somebody at one address locks an account for that address, and not for its owner
// at a new device elsewhere. Many addresses together do lock it.
func TestLockingOutFromOneAddress(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		tried := 0
		try := func(address, password string) error {
			_, err := b.service.signIn(t.Context(), attempt{login: "lan.le", password: password, client: client{address: address}})
			if errors.Is(err, problemCredentials) {
				tried++
			}
			return err
		}
		throttled := func(err error) bool { return statusOf(err).Code == problemThrottled.Code }
		for range 15 {
			require.Error(t, try("10.0.0.1", "sai mật khẩu rồi"))
			b.clock.forward(31 * time.Second)
		}
		require.Equal(t, 10, tried)
		require.True(t, throttled(try("10.0.0.1", goodPass)))
		require.NoError(t, try("10.0.0.2", goodPass))
		require.True(t, throttled(try("10.0.0.1", goodPass)), "the owner's success gives the other no more guesses")

		tried = 0
		for i := range 60 {
			require.Error(t, try(fmt.Sprintf("10.1.0.%d", i), "sai mật khẩu rồi"))
			b.clock.forward(31 * time.Second)
		}
		require.Equal(t, 50, tried, "and then half an hour nothing: no more than 100 in an hour")
		require.True(t, throttled(try("10.0.0.3", goodPass)))
		b.clock.forward(limitAccountAll.lock)
		require.NoError(t, try("10.0.0.3", goodPass))
	})
}

// An address that guesses at many accounts waits, and an account of its own does
// not help it.
func TestAddressIsThrottled(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		w := b.browser()
		refused := 0
		for i := range 60 {
			r := w.try(fmt.Sprintf("người.%d", i), "mật khẩu chung")
			if r.StatusCode == http.StatusTooManyRequests {
				refused++
			}
			if i%5 == 0 {
				b.browser().try("quantri", goodPass)
			}
		}
		require.GreaterOrEqual(t, refused, 35)
	})
}

func TestSuccessesDoNotThrottleAnAddress(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		for range 40 { // an office behind one address, before a meeting
			b.browser().signIn("lan.le", goodPass)
		}
		require.Equal(t, maxUserSessions, b.count(`SELECT COUNT(*) FROM account_sessions WHERE subject = 'lan'`))
		require.Len(t, b.endedIDs(), 20)
	})
}

func TestLoginsCannotBeEnumerated(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		hasher := b.service.hasher
		for _, login := range []string{"lan.le", "khong.co", "mot.lan"} { // known, unknown, without a password
			checks, dummies := hasher.checks.Load(), hasher.dummies.Load()
			var bodies []string
			for range 12 {
				r := b.browser().try(login, "sai mật khẩu rồi")
				bodies = append(bodies, fmt.Sprint(r.StatusCode, string(r.body), r.Header["Set-Cookie"]))
				b.clock.forward(31 * time.Second)
			}
			require.Equal(t, int64(10), hasher.checks.Load()-checks, login)
			wantDummies := int64(10)
			if login == "lan.le" {
				wantDummies = 0
			}
			require.Equal(t, wantDummies, hasher.dummies.Load()-dummies, login)
			require.Contains(t, bodies[0], "bad_credentials")
			require.Contains(t, bodies[9], "bad_credentials")
			require.Contains(t, bodies[11], "throttled")
			b.clock.forward(2 * time.Hour)
		}
		for _, r := range b.audited() {
			require.NotContains(t, fmt.Sprint(r), "khong.co", "an unknown login may be a password")
		}
	})
}

func TestDisabledUser(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		w := b.browser()
		id := w.signIn("lan.le", goodPass).text(t, "sessionId")
		lan := b.people.users["lan"]
		lan.Enabled = false
		b.people.set(lan)
		w.expect(http.StatusUnauthorized, "not_signed_in", "GET", "/whoami", nil)
		require.Contains(t, b.endedIDs(), id)
		b.browser().expect(http.StatusForbidden, "account_disabled", "POST", "/session", fields{"login": "lan.le", "password": goodPass})
		b.browser().expect(http.StatusUnauthorized, "bad_credentials", "POST", "/session",
			fields{"login": "lan.le", "password": "sai mật khẩu rồi"})
		lan.Enabled = true
		b.people.set(lan)
		w.expect(http.StatusUnauthorized, "not_signed_in", "GET", "/whoami", nil)
	})
}

func TestRehash(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		stored := func() (hash string, changed int64) {
			require.NoError(t, b.service.db.QueryRow(t.Context(),
				`SELECT hash, changed FROM account_passwords WHERE user_id = 'lan'`).Scan(&hash, &changed))
			return hash, changed
		}
		w := b.browser()
		w.signIn("lan.le", goodPass)
		before, changed := stored()
		require.Contains(t, before, "m=64,t=1,p=1")
		b.service.hasher.params = HashParams{MemoryKiB: 128, Passes: 1, Lanes: 1}
		b.browser().expect(http.StatusUnauthorized, "", "POST", "/session", fields{"login": "lan.le", "password": "sai mật khẩu rồi"})
		same, _ := stored()
		require.Equal(t, before, same)
		b.browser().signIn("lan.le", goodPass)
		after, changedAfter := stored()
		require.Contains(t, after, "m=128,t=1,p=1")
		require.Equal(t, changed, changedAfter)
		w.expect(http.StatusOK, "", "GET", "/whoami", nil)
		b.browser().signIn("lan.le", goodPass)
	})
}

func BenchmarkDefaultHash(b *testing.B) {
	h, err := newHasher(DefaultHash, 1)
	require.NoError(b, err)
	for b.Loop() {
		h.hash(goodPass)
	}
}

func TestHashingIsBounded(t *testing.T) {
	h, err := newHasher(cheapHash, 2)
	require.NoError(t, err)
	leave1, err := h.enter(t.Context())
	require.NoError(t, err)
	leave2, err := h.enter(t.Context())
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for range maxHashWaiting {
		group.Go(func() {
			_, err := h.enter(ctx)
			if !errors.Is(err, context.Canceled) {
				t.Errorf("waited and got %v", err)
			}
		})
	}
	require.Eventually(t, func() bool { return h.waiting.Load() == maxHashWaiting+2 }, 10*time.Second, time.Millisecond)
	_, err = h.enter(t.Context())
	require.ErrorIs(t, err, errHashBusy)
	require.Equal(t, problemBusy, statusOf(err))
	cancel()
	group.Wait()
	leave1()
	leave2()
	require.Zero(t, h.waiting.Load())
}

func TestDirectoryDown(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		b.people.down = errors.New("no directory")
		r := b.browser().expect(http.StatusServiceUnavailable, "unavailable", "POST", "/session",
			fields{"login": "lan.le", "password": goodPass})
		require.NotContains(t, string(r.body), "no directory")
	})
}

// A sign-in that was checked before the password changed must not end up signed in.
func TestPasswordChangesDuringSignIn(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		s := b.service
		held, err := readCredentials(t.Context(), s.db.QueryRow, "lan")
		require.NoError(t, err)
		require.NoError(t, s.SetPassword(t.Context(), b.people.users["lan"], goodPass, false))
		n := session{Kind: KindUser, Method: methodPassword, Subject: "lan"}
		_, err = s.startUser(t.Context(), &n, "", &held)
		require.ErrorIs(t, err, problemCredentials)
		require.Zero(t, b.count(`SELECT COUNT(*) FROM account_sessions`))
	})
}

func TestPasswordRules(t *testing.T) {
	for password, want := range map[string]*Problem{
		"":                        problemPasswordLength,
		"ngắn quá":                problemPasswordLength,
		strings.Repeat("à1b", 43): problemPasswordLength,
		"có\x00ký tự lạ":          problemPasswordLength,
		"sai \xff utf8 ...":       problemPasswordLength,
		"lan.le12345":             problemPasswordLogin,
		"LAN.LE LAN.LE":           problemPasswordLogin,
		"1234567890":              problemPasswordCommon,
		"0912345678":              problemPasswordCommon,
		"aaaaaaaaaaaa":            problemPasswordCommon,
		"Password123":             problemPasswordCommon,
		"Mật khẩu":                problemPasswordLength,
		"matkhau2026":             problemPasswordCommon,
		"MẬTKHẨU2026":             problemPasswordCommon,
		"qwertyuiop":              problemPasswordCommon,
		"abcdefghijkl":            problemPasswordCommon,
		"ThanhHoa@2026":           problemPasswordCommon,
		goodPass:                  nil,
		"bốn con voi đi bộ":       nil,
	} {
		_, problem := goodPassword(password, "lan.le@thanhhoa.gov.vn")
		require.Equal(t, want, problem, "%q", password)
	}
}

func FuzzDecodeHash(f *testing.F) {
	h, err := newHasher(cheapHash, 1)
	require.NoError(f, err)
	f.Add(h.dummy)
	f.Add("$argon2id$v=19$m=99999999,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAA")
	f.Add("$argon2id$v=19$m=64,t=1,p=1x$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, stored string) {
		p, salt, hash, err := decodeHash(stored)
		if err != nil {
			return
		}
		require.True(t, p.valid())
		require.Equal(t, stored, encodeHash(p, salt, hash))
	})
}

func TestKeyFile(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db)
		other, err := NewKey(make([]byte, keyLength))
		require.NoError(t, err)
		o := b.service.options
		o.Key = other
		_, err = New(t.Context(), o)
		require.ErrorIs(t, err, ErrOtherKey)
	})
}

func TestSweep(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		w := b.browser()
		w.signIn("lan.le", goodPass)
		b.browser().try("lan.le", "sai mật khẩu rồi")
		require.NoError(t, b.service.Sweep(t.Context()))
		require.Equal(t, 1, b.count(`SELECT COUNT(*) FROM account_sessions`))
		b.clock.forward(13 * time.Hour)
		require.NoError(t, b.service.Sweep(t.Context()))
		require.Zero(t, b.count(`SELECT COUNT(*) FROM account_sessions`))
		require.Zero(t, b.count(`SELECT COUNT(*) FROM account_failures`))
		require.Len(t, b.endedIDs(), 1)
	})
}

func TestNothingPlainInTheStore(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		w := b.browser()
		w.signIn("lan.le", goodPass)
		token := w.cookie("diemcau")
		err := b.service.db.Write(t.Context(), func(tx *sql.Tx) error {
			var stored []byte
			if err := tx.QueryRow(`SELECT token FROM account_sessions`).Scan(&stored); err != nil {
				return err
			}
			require.Equal(t, hashToken(token), stored)
			return nil
		})
		require.NoError(t, err)
		// What the store has does not get in.
		thief := b.browser()
		for _, value := range []string{encode(hashToken(token)), "", "x", token + "=", token[:42]} {
			thief.header.Set("Cookie", "diemcau="+value)
			thief.expect(http.StatusUnauthorized, "not_signed_in", "GET", "/whoami", nil)
		}
	})
}
