package loadtest

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// Who takes part stands in a unit of its own, which is found again by the next run.
const (
	meetingUnit  = "THUTAI"
	meetingChair = "thutai-chutoa"
	meetingClerk = "thutai-thuky"
	// signInParallel is how many sign in at the same time: more would only wait for
	// the few passwords that a server hashes at a time.
	signInParallel = 8
)

func delegateLogin(i int) string { return fmt.Sprintf("thutai-%05d", i+1) }

// accounts makes users and signs them in.
type accounts struct {
	o     *MeetingOptions
	api   *apiClient
	admin apiSession
	unit  string            // id
	ids   map[string]string // of users, by login
	// known says that users who were there before have the passwords of this program,
	// until the first of them has not.
	known atomic.Bool
	old   map[string]bool // logins that were there before

	mu       sync.Mutex
	sessions map[string]apiSession // guarded by mu: by login
}

// prepare has all users there, and signed in.
func (c *accounts) prepare(ctx context.Context) error {
	var err error
	var must bool
	if c.admin, must, err = c.api.signIn(ctx, c.o.Login, c.o.Password); err != nil {
		return fmt.Errorf("the administrator: %w", err)
	}
	if must {
		return errors.New("the administrator must change the password first")
	}
	if err := c.importAll(ctx); err != nil {
		return err
	}
	if err := c.load(); err != nil {
		return err
	}
	logins := []string{meetingChair, meetingClerk}
	for i := range c.o.Users {
		logins = append(logins, delegateLogin(i))
	}
	c.known.Store(true)
	o := c.o.Options
	o.JoinParallel = signInParallel
	err = o.joinAll(ctx, len(logins), "users signed in", func(ctx context.Context, i int) error {
		s, err := c.signedIn(ctx, logins[i])
		if err != nil {
			return fmt.Errorf("%s: %w", logins[i], err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.sessions[logins[i]] = s
		return nil
	})
	return errors.Join(err, c.save())
}

// importAll has the unit and its users there.
func (c *accounts) importAll(ctx context.Context) error {
	var root string
	unit, err := c.unitID(ctx, &root)
	if err != nil {
		return err
	}
	if unit == "" {
		if err := c.importTable(ctx, "units", [][]string{{"Code", "Name", "Parent unit"}, {meetingUnit, "Thử tải", root}}); err != nil {
			return err
		}
		if unit, err = c.unitID(ctx, &root); err != nil {
			return err
		}
	}
	c.unit = unit
	if c.ids, err = c.users(ctx); err != nil {
		return err
	}
	c.old = make(map[string]bool, len(c.ids))
	for login := range c.ids {
		c.old[login] = true
	}
	rows := [][]string{{"Login", "Full name", "Unit", "Roles"}, {meetingChair, "Chủ tọa Thử Tải", meetingUnit, "chair"},
		{meetingClerk, "Thư ký Thử Tải", meetingUnit, "secretary"}}
	for i := range c.o.Users {
		rows = append(rows, []string{delegateLogin(i), fmt.Sprintf("Đại biểu Thử Tải %d", i+1), meetingUnit, "delegate"})
	}
	c.o.progress("importing %d users", len(rows)-1)
	if err := c.importTable(ctx, "users", rows); err != nil {
		return err
	}
	c.ids, err = c.users(ctx)
	return err
}

// unitID is the id of the unit, "" if there is none, and the code of the root.
func (c *accounts) unitID(ctx context.Context, root *string) (string, error) {
	id, cursor := "", ""
	for {
		var page struct {
			Items []struct{ ID, Code, ParentID string }
			Next  string
		}
		if _, err := c.api.do(ctx, &c.admin, http.MethodGet, "/units?limit=200&cursor="+url.QueryEscape(cursor), nil, &page); err != nil {
			return "", err
		}
		for _, u := range page.Items {
			if u.ParentID == "" {
				*root = u.Code
			}
			if u.Code == meetingUnit {
				id = u.ID
			}
		}
		if cursor = page.Next; cursor == "" {
			return id, nil
		}
	}
}

// users are the ids of the unit's, by login.
func (c *accounts) users(ctx context.Context) (map[string]string, error) {
	ids, cursor := map[string]string{}, ""
	for {
		var page struct {
			Items []struct{ ID, Login string }
			Next  string
		}
		path := "/users?only=true&limit=200&unit=" + c.unit + "&cursor=" + url.QueryEscape(cursor)
		if _, err := c.api.do(ctx, &c.admin, http.MethodGet, path, nil, &page); err != nil {
			return nil, err
		}
		for _, u := range page.Items {
			ids[u.Login] = u.ID
		}
		if cursor = page.Next; cursor == "" {
			return ids, nil
		}
	}
}

func (c *accounts) importTable(ctx context.Context, table string, rows [][]string) error {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	if err := w.WriteAll(rows); err != nil {
		return err
	}
	var report struct {
		Written bool
		Errors  []struct{ Detail string }
	}
	if _, err := c.api.do(ctx, &c.admin, http.MethodPost, "/imports/"+table, b.Bytes(), &report); err != nil {
		return err
	}
	if len(report.Errors) > 0 {
		return fmt.Errorf("import of %s: %s", table, report.Errors[0].Detail)
	}
	return nil
}

// signedIn signs a user in. That takes the server one password hash, and four for who
// has no password yet: one that the administrator gives, a sign-in with it, and a change,
// which checks it again and hashes the new one.
func (c *accounts) signedIn(ctx context.Context, login string) (apiSession, error) {
	id := c.ids[login]
	if id == "" {
		return apiSession{}, errors.New("was imported and is not there")
	}
	c.mu.Lock()
	s, ok := c.sessions[login]
	c.mu.Unlock()
	if ok && s.User == id {
		if _, err := c.api.do(ctx, &s, http.MethodGet, "/session", nil, nil); err == nil {
			return s, nil
		}
	}
	last := c.password(login, "last")
	if c.old[login] && c.known.Load() {
		s, must, err := c.api.signIn(ctx, login, last)
		if err == nil && !must {
			return s, nil
		}
		// Wrong ones are counted: what does not hold for one is not tried with all.
		c.known.Store(false)
	}
	first := c.password(login, "first")
	if _, err := c.api.do(ctx, &c.admin, http.MethodPut, "/accounts/"+id+"/password", map[string]string{"password": first}, nil); err != nil {
		return s, err
	}
	s, _, err := c.api.signIn(ctx, login, first)
	if err != nil {
		return s, err
	}
	s, _, err = c.api.session(ctx, &s, "/password", map[string]string{"current": first, "new": last})
	return s, err
}

// password is as hard to guess as the administrator's, from which it follows, so that
// the users who stay behind are no open door.
func (c *accounts) password(login, which string) string {
	mac := hmac.New(sha256.New, []byte(c.o.Password))
	_, _ = mac.Write([]byte("diemcau loadtest meeting " + which + " " + login)) // never fails
	return strings.ToLower(base32.StdEncoding.EncodeToString(mac.Sum(nil)[:20]))
}

// load reads the sessions of a run before, if they were kept.
func (c *accounts) load() error {
	c.sessions = map[string]apiSession{}
	if c.o.Sessions == "" {
		return nil
	}
	raw, err := os.ReadFile(c.o.Sessions)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, &c.sessions); err != nil {
		return fmt.Errorf("%s: %w", strconv.Quote(c.o.Sessions), err)
	}
	return nil
}

func (c *accounts) save() error {
	if c.o.Sessions == "" {
		return nil
	}
	raw, err := json.Marshal(c.sessions)
	if err != nil {
		return err
	}
	return os.WriteFile(c.o.Sessions, raw, 0o600)
}
