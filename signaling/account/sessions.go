package account

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"errors"
	"time"

	"github.com/google/uuid"
)

// Kind says what a session belongs to.
type Kind string

// The kinds.
const (
	KindUser  Kind = "user"
	KindPoint Kind = "point" // a room device
	KindGuest Kind = "guest"
)

// Principal is who makes a request.
type Principal struct {
	Kind      Kind
	ID        string // of the user, point or guest
	Identity  string // user:<id>#<device>, point:<id>, guest:<id>
	Name      string
	Unit      string // of a user or point
	SessionID string // not secret
	Device    string // label such as "Firefox, Windows"
	Meeting   string // the only one a guest may enter
	Lobby     bool   // a guest who was not admitted yet
	// MustChange is a user whose password was set by somebody else: only the
	// password can be changed.
	MustChange bool
}

// Ways to come to a session.
const (
	methodPassword = "password"
	methodSSO      = "sso"
	methodCode     = "code"
	methodLink     = "link"
)

const (
	tokenLength     = 32
	touchEvery      = 10 * time.Minute // a session is marked as used no more often
	maxUserSessions = 20
)

// lasting is how long a session lasts unused, and at most.
func lasting(kind Kind) (idle, most time.Duration) {
	switch kind {
	case KindPoint:
		return 180 * 24 * time.Hour, 2 * 365 * 24 * time.Hour
	case KindGuest:
		return 12 * time.Hour, 24 * time.Hour
	default:
		return 12 * time.Hour, 7 * 24 * time.Hour
	}
}

// session is a row of account_sessions.
type session struct {
	ID, Subject, Device, Label, Address, MadeBy, Method string
	Kind                                                Kind
	Created, Seen, Idle, Expires                        time.Time
	token                                               []byte // its SHA-256
	idToken                                             []byte // sealed
}

const sessionColumns = `id, token, kind, method, subject, device, label, address, created, seen, idle, expires, made_by, id_token`

type scanner interface{ Scan(dest ...any) error }

func scanSession(row scanner) (n session, err error) {
	var created, seen, idle, expires int64
	err = row.Scan(&n.ID, &n.token, &n.Kind, &n.Method, &n.Subject, &n.Device, &n.Label, &n.Address,
		&created, &seen, &idle, &expires, &n.MadeBy, &n.idToken)
	n.Created, n.Seen, n.Idle, n.Expires = fromMillis(created), fromMillis(seen), fromMillis(idle), fromMillis(expires)
	return n, err
}

// newToken makes the secret of a session or link and what the store keeps of it.
func newToken() (token string, hash []byte) {
	raw := make([]byte, tokenLength)
	_, _ = rand.Read(raw) // never fails
	token = base64.RawURLEncoding.EncodeToString(raw)
	return token, hashToken(token)
}

// hashToken needs no salt or key: tokens are random and long.
func hashToken(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

// validToken reports whether token has the form of newToken.
func validToken(token string) bool {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	return err == nil && len(raw) == tokenLength
}

// csrfToken belongs to one session and follows from its secret, which the store
// does not have.
func csrfToken(token string) string {
	h := hmac.New(sha256.New, []byte(token))
	h.Write([]byte("diemcau csrf"))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// client is what is noted of the client of a request.
type client struct{ address, label string }

// insertSession starts a session and ends the oldest of a user who has too many.
// It fills in the id, the token's hash and the times.
func (s *Service) insertSession(ctx context.Context, tx *sql.Tx, n *session) (token string, ended []Over, err error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", nil, err
	}
	now := s.now()
	idle, most := lasting(n.Kind)
	n.ID = id.String()
	token, n.token = newToken()
	n.Created, n.Seen, n.Idle, n.Expires = now, now, now.Add(idle), now.Add(most)
	_, err = tx.ExecContext(ctx, `INSERT INTO account_sessions (`+sessionColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
		n.ID, n.token, string(n.Kind), n.Method, n.Subject, n.Device, n.Label, n.Address,
		millis(n.Created), millis(n.Seen), millis(n.Idle), millis(n.Expires), n.MadeBy, n.idToken)
	if err != nil || n.Kind != KindUser {
		return token, nil, err
	}
	ended, err = deleteSessions(ctx, tx, `kind = $1 AND subject = $2 AND id NOT IN (SELECT id FROM account_sessions
		WHERE kind = $1 AND subject = $2 ORDER BY created DESC, id DESC LIMIT $3)`, string(n.Kind), n.Subject, maxUserSessions)
	return token, ended, err
}

// deleteSessions ends the sessions that where finds and answers which they were.
func deleteSessions(ctx context.Context, tx *sql.Tx, where string, args ...any) (over []Over, err error) {
	rows, err := tx.QueryContext(ctx, `DELETE FROM account_sessions WHERE `+where+` RETURNING id, kind, subject`, args...) //nolint:gosec // G202: where is a constant of ours
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var o Over
		var kind, subject string
		if err := rows.Scan(&o.Session, &kind, &subject); err != nil {
			return nil, err
		}
		o.Who = kind + ":" + subject
		over = append(over, o)
	}
	return over, rows.Err()
}

// endSessions is deleteSessions in a transaction of its own; it tells the owner
// of sockets.
func (s *Service) endSessions(ctx context.Context, where string, args ...any) (over []Over, err error) {
	err = s.db.Write(ctx, func(tx *sql.Tx) (err error) {
		over, err = deleteSessions(ctx, tx, where, args...)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.ended(over)
	return over, nil
}

// EndSessions ends all sessions of a user at once, as when the user is disabled
// or removed.
func (s *Service) EndSessions(ctx context.Context, userID string) error {
	_, err := s.endSessions(ctx, `kind = $1 AND subject = $2`, string(KindUser), userID)
	return err
}

// EndPoint ends the sessions of all devices of a point and voids its code, as
// when the point is removed.
func (s *Service) EndPoint(ctx context.Context, pointID string) error {
	_, err := s.endSessions(ctx, `kind = $1 AND subject = $2`, string(KindPoint), pointID)
	if err != nil {
		return err
	}
	return s.db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM account_device_codes WHERE point = $1`, pointID)
		return err
	})
}

// errNoSession: expired, ended, of a disabled user, or never there.
var errNoSession = errors.New("account: no such session")

// resume finds the session of a token and whose it is now. A session whose owner
// was disabled, removed or refused is ended: nothing brings it back.
func (s *Service) resume(ctx context.Context, token string) (Principal, session, error) {
	if !validToken(token) {
		return Principal{}, session{}, errNoSession
	}
	n, err := scanSession(s.db.QueryRow(ctx,
		`SELECT `+sessionColumns+` FROM account_sessions WHERE token = $1`, hashToken(token)))
	if errors.Is(err, sql.ErrNoRows) {
		return Principal{}, n, errNoSession
	}
	if err != nil {
		return Principal{}, n, err
	}
	p, err := s.principal(ctx, n)
	return p, n, err
}

// Recheck answers who the session of p is now, for sockets that stay open; ok is
// false when the session is over.
func (s *Service) Recheck(ctx context.Context, p Principal) (now Principal, ok bool, err error) {
	n, err := scanSession(s.db.QueryRow(ctx,
		`SELECT `+sessionColumns+` FROM account_sessions WHERE id = $1`, p.SessionID))
	if errors.Is(err, sql.ErrNoRows) {
		return p, false, nil
	}
	if err != nil {
		return p, false, err
	}
	if err := s.touch(ctx, n); err != nil {
		return p, false, err
	}
	now, err = s.principal(ctx, n)
	if errors.Is(err, errNoSession) {
		return p, false, nil
	}
	return now, err == nil, err
}

// principal answers whose session n is, or errNoSession.
func (s *Service) principal(ctx context.Context, n session) (Principal, error) {
	now := s.now()
	p := Principal{Kind: n.Kind, ID: n.Subject, SessionID: n.ID, Device: n.Label}
	if !now.Before(n.Idle) || !now.Before(n.Expires) {
		return p, errNoSession
	}
	var err error
	switch n.Kind {
	case KindUser:
		err = s.userPrincipal(ctx, n, &p)
	case KindPoint:
		err = s.pointPrincipal(ctx, &p)
	case KindGuest:
		err = s.guestPrincipal(ctx, &p)
	default:
		err = errNoSession
	}
	if errors.Is(err, errNoSession) {
		if _, end := s.endSessions(ctx, `id = $1`, n.ID); end != nil {
			return p, end
		}
	}
	return p, err
}

func (s *Service) userPrincipal(ctx context.Context, n session, p *Principal) error {
	user, err := s.users.ByID(ctx, n.Subject)
	if errors.Is(err, ErrNoUser) || err == nil && !user.Enabled {
		return errNoSession
	}
	if err != nil {
		return err
	}
	p.Name, p.Unit, p.Identity = user.Name, user.Unit, "user:"+user.ID+"#"+n.Device
	if n.Method != methodPassword {
		return nil
	}
	credentials, err := readCredentials(ctx, s.db.QueryRow, user.ID)
	p.MustChange = credentials.mustChange
	return err
}

func (s *Service) pointPrincipal(ctx context.Context, p *Principal) error {
	point, err := s.options.Points.Point(ctx, p.ID)
	if errors.Is(err, ErrNoPoint) {
		return errNoSession
	}
	p.Name, p.Unit, p.Identity = point.Name, point.Unit, "point:"+point.ID
	return err
}

// touch notes that n was used, now and then.
func (s *Service) touch(ctx context.Context, n session) error {
	now := s.now()
	if now.Sub(n.Seen) < touchEvery || !now.Before(n.Idle) || !now.Before(n.Expires) {
		return nil
	}
	idle, _ := lasting(n.Kind)
	return s.db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE account_sessions SET seen = $1, idle = $2 WHERE id = $3`,
			millis(now), millis(now.Add(idle)), n.ID)
		return err
	})
}

// sessions lists the living sessions that where finds, the latest first.
func (s *Service) sessions(ctx context.Context, where string, args ...any) (list []session, err error) {
	rows, err := s.db.Query(ctx, `SELECT `+sessionColumns+` FROM account_sessions WHERE `+where+
		` ORDER BY created DESC, id DESC LIMIT 1000`, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	now := s.now()
	for rows.Next() {
		n, err := scanSession(rows)
		if err != nil {
			return nil, err
		}
		if now.Before(n.Idle) && now.Before(n.Expires) {
			list = append(list, n)
		}
	}
	return list, rows.Err()
}
