package signaling

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	lkauth "github.com/livekit/protocol/auth"
	"golang.org/x/text/unicode/norm"

	"diemcau/signaling/auth"
)

const (
	maxDemoBody     = 4 << 10
	maxNameLength   = 60 // characters
	demoTokenLasts  = time.Hour
	demoBodyTimeout = 10 * time.Second
)

var roomName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// demoTokens gives a guest's token to whoever asks, which is what --demo is for.
type demoTokens struct {
	verifier *auth.Verifier
	key      string
	limiter  *addressLimiter
}

func newDemoTokens(verifier *auth.Verifier, key string) *demoTokens {
	return &demoTokens{verifier: verifier, key: key, limiter: newAddressLimiter()}
}

type demoRequest struct {
	Name string `json:"name"`
	Room string `json:"room"`
}

func (d *demoTokens) serve(w http.ResponseWriter, r *http.Request) {
	if !d.limiter.allow(r.RemoteAddr) {
		w.Header().Set("Retry-After", "1")
		writeProblem(w, problemRate)
		return
	}
	request, refusal := readDemoRequest(w, r)
	if refusal != nil {
		writeProblem(w, *refusal)
		return
	}
	yes := true
	grants := &lkauth.ClaimGrants{
		Identity: "guest:" + rand.Text(),
		Name:     request.Name,
		Video: &lkauth.VideoGrant{
			RoomJoin: true, Room: request.Room,
			CanPublish: &yes, CanSubscribe: &yes, CanPublishData: &yes, CanUpdateOwnMetadata: &yes,
		},
	}
	token, err := d.verifier.Mint(d.key, grants, demoTokenLasts)
	if err != nil {
		writeProblem(w, problemInternal)
		return
	}
	writeJSON(w, http.StatusOK, "application/json", struct {
		Token    string `json:"token"`
		Identity string `json:"identity"`
		Room     string `json:"room"`
	}{token, grants.Identity, request.Room})
}

// readDemoRequest reads and checks the body. JSON as the only content type also
// keeps pages of other origins out: a browser asks us first, and we say nothing.
func readDemoRequest(w http.ResponseWriter, r *http.Request) (demoRequest, *problem) {
	var request demoRequest
	contentType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || contentType != "application/json" {
		return request, &problemType
	}
	// Some writers have no deadlines; those are not slow either.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(demoBodyTimeout))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxDemoBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return request, &problemTooLarge
	case err != nil || !utf8.Valid(body):
		return request, &problemJSON
	}
	decoder := json.NewDecoder(strings.NewReader(string(body)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&request); err != nil {
		return request, &problemJSON
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return request, &problemJSON
	}
	var ok bool
	if request.Name, ok = displayName(request.Name); !ok {
		return request, &problemName
	}
	if !roomName.MatchString(request.Room) {
		return request, &problemRoom
	}
	return request, nil
}

// displayName returns s trimmed and in NFC, as Vietnamese from different
// keyboards must compare equal; ok is false for what cannot be shown safely.
func displayName(s string) (name string, ok bool) {
	name = norm.NFC.String(strings.TrimSpace(s))
	length := utf8.RuneCountInString(name)
	if length < 1 || length > maxNameLength {
		return "", false
	}
	visible := false
	for _, r := range name {
		// U+200D and U+200C join emoji and letters; other format characters
		// only reorder or hide text.
		joiner := r == '\u200d' || r == '\u200c'
		if !joiner && unicode.In(r, unicode.C, unicode.Zl, unicode.Zp) {
			return "", false
		}
		visible = visible || unicode.In(r, unicode.L, unicode.N, unicode.P, unicode.S)
	}
	return name, visible
}
