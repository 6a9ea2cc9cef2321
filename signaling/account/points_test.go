package account

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func (b *bench) deviceCode(admin *browser) string {
	code := admin.expect(http.StatusCreated, "", "POST", "/devices/codes", fields{"point": "p1"}).text(b.t, "code")
	require.Regexp(b.t, `^[0-9]{6}$`, code)
	return code
}

func (b *bench) administrator() *browser {
	admin := b.browser()
	admin.signIn("quantri", goodPass)
	return admin
}

func TestDevices(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		admin, device, lan := b.administrator(), b.browser(), b.browser()
		lan.signIn("lan.le", goodPass)
		lan.expect(http.StatusForbidden, "forbidden", "POST", "/devices/codes", fields{"point": "p1"})
		admin.expect(http.StatusForbidden, "forbidden", "POST", "/devices/codes", fields{"point": "p2"})
		admin.expect(http.StatusForbidden, "forbidden", "POST", "/devices/codes", fields{"point": "p9"})
		device.expect(http.StatusUnauthorized, "not_signed_in", "POST", "/devices/codes", fields{"point": "p1"})

		void, code := b.deviceCode(admin), b.deviceCode(admin)
		if void != code {
			device.expect(http.StatusForbidden, "bad_device_code", "POST", "/devices/enrol", fields{"code": void})
		}
		r := device.expect(http.StatusCreated, "", "POST", "/devices/enrol", fields{"code": code, "label": "Máy phòng họp A"})
		require.Equal(t, "point:p1", r.text(t, "identity"))
		require.Equal(t, "Điểm cầu xã Quan Sơn", r.text(t, "name"))
		device.csrf = r.text(t, "csrfToken")
		b.browser().expect(http.StatusForbidden, "bad_device_code", "POST", "/devices/enrol", fields{"code": code})
		device.expect(http.StatusOK, "", "GET", "/whoami", nil)
		device.expect(http.StatusForbidden, "forbidden", "GET", "/users-only", nil)
		device.expect(http.StatusForbidden, "forbidden", "POST", "/devices/codes", fields{"point": "p1"})
		device.expect(http.StatusForbidden, "forbidden", "GET", "/sessions", nil)
		device.expect(http.StatusConflict, "device_enrolled", "POST", "/session", fields{"login": "lan.le", "password": goodPass})
		device.expect(http.StatusConflict, "device_enrolled", "POST", "/guest-links/redeem", fields{"token": "x", "name": "Khách"})
		for range 8 { // in use once in five months, for two years
			b.clock.forward(80 * 24 * time.Hour)
			answer := device.expect(http.StatusOK, "", "GET", "/whoami", nil)
			require.NotEmpty(t, answer.Header.Get("Set-Cookie"), "the cookie is kept alive")
		}

		admin.csrf = ""
		admin.signIn("quantri", goodPass)
		lan.csrf = ""
		lan.signIn("lan.le", goodPass)
		var list []listedSession
		require.NoError(t, json.Unmarshal(admin.expect(http.StatusOK, "", "GET", "/devices?point=p1", nil).body, &list))
		require.Len(t, list, 1)
		require.Equal(t, "Máy phòng họp A", list[0].Label)
		require.Contains(t, list[0].MadeBy, "user:admin#")
		lan.expect(http.StatusForbidden, "forbidden", "GET", "/devices?point=p1", nil)
		lan.expect(http.StatusForbidden, "forbidden", "DELETE", "/devices/"+list[0].ID, nil)
		admin.expect(http.StatusForbidden, "forbidden", "DELETE", "/devices/none", nil)
		admin.expect(http.StatusNoContent, "", "DELETE", "/devices/"+list[0].ID, nil)
		device.expect(http.StatusUnauthorized, "not_signed_in", "GET", "/whoami", nil)
	})
}

func TestDeviceCodeExpires(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		code := b.deviceCode(b.administrator())
		b.clock.forward(deviceCodeLasts)
		b.browser().expect(http.StatusForbidden, "bad_device_code", "POST", "/devices/enrol", fields{"code": code})
		require.Zero(t, b.count(`SELECT COUNT(*) FROM account_sessions WHERE kind = 'point'`))
	})
}

func TestDeviceCodeAtOnce(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		code := b.deviceCode(b.administrator())
		right := make(chan bool, 2)
		var group sync.WaitGroup
		for i := range cap(right) {
			group.Go(func() {
				_, _, err := b.service.enrolDevice(t.Context(), code, "", client{address: fmt.Sprintf("10.0.0.%d", i)}, "", "")
				right <- err == nil
			})
		}
		group.Wait()
		require.NotEqual(t, <-right, <-right)
		require.Equal(t, 1, b.count(`SELECT COUNT(*) FROM account_sessions WHERE kind = 'point'`))
	})
}

// guess tries codes, each from an address of its own, for as long as, one each
// step, and answers how many were looked at.
func (b *bench) guess(during, step time.Duration) (tried int) {
	for n := 0; during > 0; during, n = during-step, n+1 {
		c := client{address: fmt.Sprintf("10.%d.%d.%d", n>>16&255, n>>8&255, n&255)}
		_, _, err := b.service.enrolDevice(b.t.Context(), "wrong!", "", c, "", "")
		if statusOf(err) == problemEnrolCode {
			tried++
		}
		b.clock.forward(step)
	}
	return tried
}

// The odds in the package comment.
func TestGuessingDeviceCodes(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		admin := b.administrator()
		code := b.deviceCode(admin)
		require.Equal(t, 10, b.guess(deviceCodeLasts-10*time.Second, 5*time.Second), "while one code lives")
		device := b.browser()
		device.expect(http.StatusTooManyRequests, "throttled", "POST", "/devices/enrol", fields{"code": code})
		// An administrator at the device is not held up.
		admin.expect(http.StatusCreated, "", "POST", "/devices/enrol", fields{"code": code})
		require.LessOrEqual(t, b.guess(23*time.Hour, 5*time.Minute)+10, 80, "in a day")
	})
}

func TestGuessingDeviceCodesFromOneAddress(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		code := b.deviceCode(b.administrator())
		tried := 0
		for range 30 {
			if b.browser().do("POST", "/devices/enrol", fields{"code": "999999"}).StatusCode == http.StatusForbidden {
				tried++
			}
			b.clock.forward(15 * time.Second)
		}
		require.LessOrEqual(t, tried, 5)
		_, _, err := b.service.enrolDevice(t.Context(), code, "", client{address: "10.0.0.1"}, "", "")
		require.NoError(t, err, "others are not held up")
	})
}

func TestDeviceCodesAreFew(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		for i := range maxDeviceCodes {
			_, _, err := b.service.newDeviceCode(t.Context(), Point{ID: fmt.Sprint("p", i)}, "user:admin#x")
			require.NoError(t, err)
		}
		_, _, err := b.service.newDeviceCode(t.Context(), Point{ID: "one more"}, "user:admin#x")
		require.ErrorIs(t, err, problemManyCodes)
		_, _, err = b.service.newDeviceCode(t.Context(), Point{ID: "p3"}, "user:admin#x")
		require.NoError(t, err, "in place of the point's own")
		b.clock.forward(deviceCodeLasts)
		_, _, err = b.service.newDeviceCode(t.Context(), Point{ID: "one more"}, "user:admin#x")
		require.NoError(t, err)
	})
}

func TestRemovedPoint(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		device := b.browser()
		device.expect(http.StatusCreated, "", "POST", "/devices/enrol", fields{"code": b.deviceCode(b.administrator())})
		require.NoError(t, b.service.EndPoint(t.Context(), "p1"))
		device.expect(http.StatusUnauthorized, "not_signed_in", "GET", "/whoami", nil)
	})
}
