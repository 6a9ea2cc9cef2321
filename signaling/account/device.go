package account

import (
	"crypto/hmac"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A device cookie says that somebody signed in with this browser before. It lets
// nobody in; it only gives this browser a counter of failures of its own, so
// that strangers who lock the account for unknown devices do not lock its owner
// out. It holds up to maxDevices marks, one for each user of the browser:
//
//	device "." user "." password's epoch "." issued "." HMAC
const (
	maxDevices     = 4
	deviceLasts    = 400 * 24 * time.Hour // browsers keep no cookie longer
	deviceIDLength = 16
)

type deviceMark struct {
	device string // 32 hexadecimal digits
	user   string
	epoch  int64 // account_passwords.changed: a new password makes all devices unknown
	issued int64 // unix seconds
}

func (m deviceMark) text() string {
	return fmt.Sprintf("%s.%s.%d.%d", m.device, base64.RawURLEncoding.EncodeToString([]byte(m.user)), m.epoch, m.issued)
}

func (s *Service) encodeMark(m deviceMark) string {
	text := m.text()
	return text + "." + base64.RawURLEncoding.EncodeToString(s.key.mac("device", text))
}

func (s *Service) decodeMark(text string, now time.Time) (m deviceMark, ok bool) {
	body, mac, found := cutLast(text, ".")
	given, err := base64.RawURLEncoding.DecodeString(mac)
	if !found || err != nil || !hmac.Equal(given, s.key.mac("device", body)) {
		return m, false
	}
	parts := strings.Split(body, ".")
	if len(parts) != 4 {
		return m, false
	}
	user, err := base64.RawURLEncoding.DecodeString(parts[1])
	epoch, err2 := strconv.ParseInt(parts[2], 10, 64)
	issued, err3 := strconv.ParseInt(parts[3], 10, 64)
	if err != nil || err2 != nil || err3 != nil {
		return m, false
	}
	m = deviceMark{device: parts[0], user: string(user), epoch: epoch, issued: issued}
	return m, now.Sub(time.Unix(issued, 0)) < deviceLasts
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// deviceMarks reads the marks of a request that are genuine.
func (s *Service) deviceMarks(r *http.Request) []deviceMark {
	cookie, err := r.Cookie(s.cookieName(r, "device"))
	if err != nil || len(cookie.Value) > 2048 {
		return nil
	}
	var marks []deviceMark
	for _, text := range strings.SplitN(cookie.Value, "~", maxDevices+1) {
		if m, ok := s.decodeMark(text, s.now()); ok && len(marks) < maxDevices {
			marks = append(marks, m)
		}
	}
	return marks
}

// knownDevice is the mark of a user whose password is still that of epoch.
func knownDevice(marks []deviceMark, user string, epoch int64) (deviceMark, bool) {
	for _, m := range marks {
		if m.user == user && m.epoch == epoch {
			return m, true
		}
	}
	return deviceMark{}, false
}

// deviceOf is the id of this browser for a user, a new one at the first sign-in.
func deviceOf(marks []deviceMark, user string) string {
	for _, m := range marks {
		if m.user == user {
			return m.device
		}
	}
	return newDeviceID()
}

// markDevice sets the device cookie after a user signed in.
func (s *Service) markDevice(w http.ResponseWriter, r *http.Request, marks []deviceMark, in signedIn) {
	user := in.user.ID
	texts := []string{s.encodeMark(deviceMark{device: in.device, user: user, epoch: in.epoch, issued: s.now().Unix()})}
	for _, m := range marks {
		if m.user != user && len(texts) < maxDevices {
			texts = append(texts, s.encodeMark(m))
		}
	}
	// Lax: after single sign-on the browser comes from another site.
	s.setCookie(w, r, "device", strings.Join(texts, "~"), deviceLasts, http.SameSiteLaxMode)
}

func newDeviceID() string {
	id := make([]byte, deviceIDLength)
	_, _ = rand.Read(id) // never fails
	return hex.EncodeToString(id)
}
