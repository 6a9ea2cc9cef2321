package account

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"diemcau/signaling/store"
)

// User is a person of the directory, as far as signing in needs it.
type User struct {
	ID, Login, Name, Unit string
	Enabled               bool
}

// ErrNoUser is what Users answers for a login or id that nobody has.
var ErrNoUser = errors.New("account: no such user")

// Users is what signing in needs of the directory.
type Users interface {
	// ByLogin finds the user of a login as a person types it; ErrNoUser.
	ByLogin(ctx context.Context, login string) (User, error)
	// ByID finds a user; ErrNoUser.
	ByID(ctx context.Context, id string) (User, error)
	// FromClaims finds or makes the user of an OpenID Connect subject. The key is
	// the pair of issuer and subject: login and e-mail are what the provider lets
	// people choose, and must not lead to an account that was made otherwise.
	// ErrNoUser refuses the subject.
	FromClaims(ctx context.Context, claims Claims) (User, error)
}

// Point is a meeting point of the directory.
type Point struct{ ID, Name, Unit string }

// ErrNoPoint is what Points answers for an id that no point has.
var ErrNoPoint = errors.New("account: no such point")

// Points is what enrolling room devices needs of the directory.
type Points interface {
	Point(ctx context.Context, id string) (Point, error) // ErrNoPoint
}

// Permissions that are asked of Access.
const (
	PermissionResetSignIn = "account.reset" // scope: the unit of the user concerned
	PermissionDevices     = "device.enrol"  // scope: the unit of the point
	PermissionGuestLinks  = "guest.link"    // scope: the meeting
	PermissionGuestAdmit  = "guest.admit"   // scope: the meeting
)

// Access answers who may do what.
type Access interface {
	// Allows says whether p has permission in a unit or a meeting.
	Allows(ctx context.Context, p Principal, permission, unitOrMeeting string) (bool, error)
	// Outranks says whether p may take over the sign-in of the user: who may
	// reset passwords must not thereby become somebody with more rights.
	Outranks(ctx context.Context, p Principal, userID string) (bool, error)
}

// Record is a line of the audit log. It holds no password, code, token or
// cookie, nor the login that an unknown person typed, for that is now and then
// a password.
type Record struct {
	Who    string // identity of the session, or "" before there is one
	From   string // address of the client
	Action string // such as "session.create"
	Object string // such as "user:<id>", or "unknown"
	Result string // "ok" or the code of the problem
	At     time.Time
}

// Over is a session that is over.
type Over struct {
	Session string // its id
	Who     string // user:<id>, point:<id> or guest:<id>
	Expired bool   // its time was up; false: somebody or something ended it
}

// Options are what a Service needs. Those without a default must be set.
type Options struct {
	DB     *store.DB
	Users  Users
	Points Points
	Access Access
	Key    *Key

	// OIDC is nil without single sign-on.
	OIDC *OIDCOptions
	// HTTPS says that browsers reach the server by HTTPS although it does not
	// speak TLS itself, because of a proxy.
	HTTPS bool
	// Origins are further origins, such as "https://hop.example.vn", that pages
	// of ours come from, for a proxy that changes Host.
	Origins []string
	// Product is the issuer shown in people's code generators; "diemcau".
	Product string
	// SignInPage is where a browser is sent when single sign-on failed, with
	// ?error=<code>; "/sign-in".
	SignInPage string
	// Hash are the parameters of new password hashes; DefaultHash.
	Hash HashParams
	// HashAtOnce is how many passwords are hashed at a time; 4. Each takes
	// Hash.MemoryKiB.
	HashAtOnce int

	Now func() time.Time // time.Now
	Log *slog.Logger     // slog.Default
	// Audit is called for each action, refused ones too; it must not block.
	Audit func(ctx context.Context, record Record)
	// Ended is called with sessions that are over, so that their sockets can be
	// closed; it must not block.
	Ended func(over []Over)
	// GuestChanged is called when a guest came to a lobby, was admitted or
	// refused; it must not block.
	GuestChanged func(guest Guest)
}

// Service signs people, room devices and guests in. It is safe for concurrent use.
type Service struct {
	options Options
	db      *store.DB
	users   Users
	key     *Key
	hasher  *hasher
	sso     *provider // nil without single sign-on
	origins *http.CrossOriginProtection
	trusted map[string]bool // origins beside the request's own host
}

// New makes a Service. It fails when the key is not the one that the secrets in
// the database were sealed with.
func New(ctx context.Context, options Options) (*Service, error) {
	if err := complete(&options); err != nil {
		return nil, err
	}
	hasher, err := newHasher(options.Hash, options.HashAtOnce)
	if err != nil {
		return nil, err
	}
	s := &Service{
		options: options, db: options.DB, users: options.Users, key: options.Key,
		hasher: hasher, origins: http.NewCrossOriginProtection(), trusted: make(map[string]bool),
	}
	for _, origin := range options.Origins {
		if err := s.origins.AddTrustedOrigin(origin); err != nil {
			return nil, fmt.Errorf("account: %w", err)
		}
		s.trusted[origin] = true
	}
	if options.OIDC != nil {
		if s.sso, err = newProvider(*options.OIDC, options.Now); err != nil {
			return nil, err
		}
	}
	return s, s.checkKey(ctx)
}

func complete(o *Options) error {
	if o.DB == nil || o.Users == nil || o.Points == nil || o.Access == nil || o.Key == nil {
		return errors.New("account: DB, Users, Points, Access and Key must be set")
	}
	if o.Product == "" {
		o.Product = "diemcau"
	}
	if o.SignInPage == "" {
		o.SignInPage = "/sign-in"
	}
	if o.Hash == (HashParams{}) {
		o.Hash = DefaultHash
	}
	if o.HashAtOnce == 0 {
		o.HashAtOnce = 4
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Audit == nil {
		o.Audit = func(context.Context, Record) {}
	}
	if o.Ended == nil {
		o.Ended = func([]Over) {}
	}
	if o.GuestChanged == nil {
		o.GuestChanged = func(Guest) {}
	}
	return nil
}

// now is the present moment in the precision of the store.
func (s *Service) now() time.Time { return s.options.Now().UTC().Truncate(time.Millisecond) }

func millis(t time.Time) int64 { return t.UnixMilli() }

func fromMillis(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// ended tells the owner of sockets which sessions are over.
func (s *Service) ended(over []Over) {
	if len(over) > 0 {
		s.options.Ended(over)
	}
}

// safePath reports whether path leads to a page of this server and nowhere else:
// what a browser reads as another host ("//x", "/\x", a scheme) is refused.
func safePath(path string) bool {
	if len(path) == 0 || len(path) > 512 || path[0] != '/' || strings.HasPrefix(path, "//") {
		return false
	}
	for i := range len(path) {
		if c := path[i]; c <= ' ' || c == '\\' || c >= 0x7f {
			return false
		}
	}
	u, err := url.Parse(path)
	return err == nil && u.Scheme == "" && u.Host == "" && u.User == nil && strings.HasPrefix(u.Path, "/") &&
		!strings.HasPrefix(u.Path, "//") && !strings.Contains(u.Path, "\\")
}
