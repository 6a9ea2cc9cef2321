package webhook

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	"github.com/livekit/protocol/utils/protojson"
)

const (
	contentType   = "application/webhook+json"
	tokenValidity = 5 * time.Minute // of a signature; each attempt has a new one
	maxAnswer     = 4 << 10         // bytes of an answer that are read, to use the connection again
)

// errRefused is an answer that another attempt would not change.
var errRefused = errors.New("refused")

// deliver sends one event, again and again until it is taken or given up. It
// belongs to a lane.
func (n *Notifier) deliver(r *receiver, e *livekit.WebhookEvent) {
	body, err := protojson.Marshal(e)
	if err != nil {
		n.log.Error("webhook event does not encode", "event", e.Event, "error", err)
		n.results.WithLabelValues(resultFailed).Inc()
		return
	}
	giveUp := time.Unix(e.CreatedAt, 0).Add(n.times.giveUp)
	wait := n.times.first
	for attempt := 1; ; attempt++ {
		if err = n.post(r.url, body); err == nil {
			n.results.WithLabelValues(resultSent).Inc()
			n.log.Debug("webhook event sent", "url", r.name, "event", e.Event, "id", e.Id, "attempts", attempt)
			return
		}
		pause := wait/2 + rand.N(wait/2+1) //nolint:gosec // so that many senders do not come at the same moment
		if errors.Is(err, errRefused) || time.Now().Add(pause).After(giveUp) || !n.pause(pause) {
			break
		}
		wait = min(2*wait, n.times.most)
	}
	n.results.WithLabelValues(resultFailed).Inc()
	r.complain.Do(func() {
		n.log.Warn("webhook event not delivered", "url", r.name, "event", e.Event, "id", e.Id, "error", err)
	})
}

// pause waits; false if the Notifier ends meanwhile.
func (n *Notifier) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-n.ctx.Done():
		return false
	}
}

// post makes one attempt. Its error wraps errRefused if another makes no sense.
func (n *Notifier) post(to string, body []byte) error {
	token, err := n.sign(body)
	if err != nil {
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	ctx, cancel := context.WithTimeout(n.ctx, n.times.attempt)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%w: %w", errRefused, withoutURL(err))
	}
	req.Header.Set("Authorization", token)
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("User-Agent", "diemcau")
	res, err := n.client.Do(req)
	if err != nil {
		return withoutURL(err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, maxAnswer))
	switch s := res.StatusCode; {
	case s >= 200 && s < 300:
		return nil
	case s >= 500, s == http.StatusRequestTimeout, s == http.StatusTooEarly, s == http.StatusTooManyRequests:
		return errors.New(res.Status)
	}
	return fmt.Errorf("%w: %s", errRefused, res.Status)
}

// sign makes the token that goes with a body: it carries the body's SHA-256.
func (n *Notifier) sign(body []byte) (string, error) {
	sum := sha256.Sum256(body)
	return auth.NewAccessToken(n.key, n.secret).
		SetValidFor(tokenValidity).
		SetSha256(base64.StdEncoding.EncodeToString(sum[:])).
		ToJWT()
}

// withoutURL takes the URL out of an error: it may hold a secret.
func withoutURL(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}
