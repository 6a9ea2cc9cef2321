package loadtest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

const (
	apiTimeout   = 30 * time.Second
	apiAnswer    = 64 << 20 // of a meeting of thousands, as a snapshot
	busyPatience = 2 * time.Minute
	csrfHeader   = "X-CSRF-Token"
)

// apiClient speaks with the HTTP API of a server.
type apiClient struct {
	base *url.URL
	http *http.Client
	next atomic.Int64 // of command ids
	run  string       // what they begin with
}

// apiSession is somebody who is signed in. The zero value is nobody.
type apiSession struct {
	User   string `json:"user"` // id
	Cookie string `json:"cookie"`
	CSRF   string `json:"csrf"`
}

// apiProblem is an answer that is none of those wanted (RFC 9457).
type apiProblem struct {
	What    string
	Status  int
	Code    string        `json:"code"`
	Detail  string        `json:"detail"`
	retryIn time.Duration // 0: not said
}

func (p *apiProblem) Error() string {
	return fmt.Sprintf("%s: %d %s %s", p.What, p.Status, p.Code, p.Detail)
}

func newAPIClient(rawURL string, connections int) (*apiClient, error) {
	base, err := webURL(rawURL)
	if err != nil {
		return nil, err
	}
	return &apiClient{
		base: base.JoinPath("/api/v1/"), run: strconv.FormatInt(time.Now().UnixMilli(), 36),
		http: &http.Client{Timeout: apiTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: connections, DisableCompression: true}},
	}, nil
}

// commandID makes the id of a command, which no other run uses.
func (a *apiClient) commandID() string { return fmt.Sprintf("lt-%s-%d", a.run, a.next.Add(1)) }

// call makes a request once. body is nil, bytes of a CSV file, or what is sent as JSON;
// into is nil or what the answer is decoded into.
func (a *apiClient) call(ctx context.Context, who *apiSession, method, path string, body, into any) (*http.Response, error) {
	var content io.Reader
	kind := "application/json"
	switch b := body.(type) {
	case nil:
	case []byte:
		content, kind = bytes.NewReader(b), "text/csv"
	default:
		raw, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(raw)
	}
	at, err := a.base.Parse(strings.TrimPrefix(path, "/"))
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, method, at.String(), content)
	if err != nil {
		return nil, err
	}
	if body != nil {
		r.Header.Set("Content-Type", kind)
	}
	r.Header.Set("Accept-Language", "en")
	if who != nil && who.Cookie != "" {
		r.Header.Set("Cookie", who.Cookie)
		r.Header.Set(csrfHeader, who.CSRF)
	}
	answer, err := a.http.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(answer.Body, apiAnswer))
	if err != nil {
		return nil, err
	}
	if answer.StatusCode >= http.StatusMultipleChoices {
		p := &apiProblem{}
		_ = json.Unmarshal(raw, p) // what is no problem document has a status all the same
		p.What, p.Status = method+" "+path, answer.StatusCode
		if seconds, err := strconv.Atoi(answer.Header.Get("Retry-After")); err == nil {
			p.retryIn = time.Duration(seconds) * time.Second
		}
		return nil, p
	}
	if into != nil {
		if err := json.Unmarshal(raw, into); err != nil {
			return nil, fmt.Errorf("%s %s: %w", method, path, err)
		}
	}
	return answer, nil
}

// do is call for what is not measured: a server that is busy is asked again.
func (a *apiClient) do(ctx context.Context, who *apiSession, method, path string, body, into any) (*http.Response, error) {
	begun := time.Now()
	for {
		answer, err := a.call(ctx, who, method, path, body, into)
		var p *apiProblem
		busy := errors.As(err, &p) && (p.Status == http.StatusServiceUnavailable || p.Status == http.StatusTooManyRequests)
		if !busy || time.Since(begun) > busyPatience {
			return answer, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(cmp.Or(p.retryIn, time.Second/2)):
		}
	}
}

// signIn starts a session. It is given a cookie of the one before by nobody, so that the
// server sees another browser each time.
func (a *apiClient) signIn(ctx context.Context, login, password string) (apiSession, bool, error) {
	return a.session(ctx, nil, "/session", map[string]string{"login": login, "password": password})
}

// session posts what a new session is the answer to; must says that the password has to
// be changed first.
func (a *apiClient) session(ctx context.Context, who *apiSession, path string, body any) (s apiSession, must bool, err error) {
	var made struct {
		ID         string `json:"id"`
		CSRFToken  string `json:"csrfToken"`
		MustChange bool   `json:"mustChangePassword"`
	}
	answer, err := a.do(ctx, who, http.MethodPost, path, body, &made)
	if err != nil {
		return s, false, err
	}
	s = apiSession{User: made.ID, CSRF: made.CSRFToken}
	for _, c := range answer.Cookies() {
		if c.Name == "diemcau" || c.Name == "__Host-diemcau" {
			s.Cookie = c.Name + "=" + c.Value
		}
	}
	if s.Cookie == "" {
		return s, false, fmt.Errorf("POST %s: no session cookie", path)
	}
	return s, made.MustChange, nil
}

// command gives a command of a meeting and returns the number of its last event.
func (a *apiClient) command(ctx context.Context, who *apiSession, meeting, kind string, body any) (uint64, error) {
	var done struct {
		Seq uint64 `json:"seq"`
	}
	_, err := a.do(ctx, who, http.MethodPost, "/meetings/"+meeting+"/commands", meetingCommand{a.commandID(), kind, body}, &done)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", kind, err)
	}
	return done.Seq, nil
}

// meetingCommand is a command as it is sent, by POST and over a socket.
type meetingCommand struct {
	ID   string `json:"id"`
	Type string `json:"type"`
	Body any    `json:"body"`
}
