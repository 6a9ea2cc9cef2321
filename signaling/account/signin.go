package account

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// givenLasts is how long a password holds that somebody else chose, who knows it.
const givenLasts = 30 * 24 * time.Hour

// credentials are a row of account_passwords; the zero value is a user without a
// local password.
type credentials struct {
	hash       string
	changed    int64
	mustChange bool
}

type queryRow func(ctx context.Context, query string, args ...any) *sql.Row

func readCredentials(ctx context.Context, query queryRow, userID string) (c credentials, err error) {
	var must int64
	err = query(ctx, `SELECT hash, changed, must_change FROM account_passwords WHERE user_id = $1`, userID).
		Scan(&c.hash, &c.changed, &must)
	if errors.Is(err, sql.ErrNoRows) {
		return credentials{}, nil
	}
	c.mustChange = must != 0
	return c, err
}

// attempt is a sign-in with a password.
type attempt struct {
	login, password, code string
	client                client
	marks                 []deviceMark
	replaces              string // id of the browser's present session, or ""
}

// signedIn is what a successful attempt leads to.
type signedIn struct {
	user    User
	token   string
	session session
	device  string // of the browser's mark
	epoch   int64  // of the password
}

// signIn checks a password and one-time code and starts a session. The error is
// a *Problem when the attempt was refused. user is set when the login was known.
func (s *Service) signIn(ctx context.Context, a attempt) (in signedIn, err error) {
	in.user, err = s.users.ByLogin(ctx, a.login)
	if err != nil && !errors.Is(err, ErrNoUser) {
		return in, err
	}
	if errors.Is(err, ErrNoUser) {
		in.user = User{}
	}
	held, err := readCredentials(ctx, s.db.QueryRow, in.user.ID)
	if err != nil {
		return in, err
	}
	in.epoch = held.changed
	counters, known := s.signInCounters(a, in.user.ID, held.changed)
	stale, err := s.checkPassword(ctx, a.password, held, counters)
	if err != nil {
		return in, err
	}
	if !in.user.Enabled {
		return in, problemDisabled
	}
	if held.mustChange && s.now().Sub(fromMillis(held.changed)) >= givenLasts {
		return in, problemPasswordExpired
	}
	if err := s.secondStep(ctx, a, in.user.ID, known, counters); err != nil {
		return in, err
	}
	in.device = deviceOf(a.marks, in.user.ID)
	in.session = session{Kind: KindUser, Method: methodPassword, Subject: in.user.ID,
		Device: deviceName(in.device), Label: a.client.label, Address: a.client.address}
	if in.token, err = s.startUser(ctx, &in.session, a.replaces, &held); err != nil {
		return in, err
	}
	if err := s.forgive(ctx, counters, true); err != nil {
		return in, err
	}
	if stale {
		s.rehash(ctx, in.user.ID, a.password, held)
	}
	return in, nil
}

// signInCounters are what an attempt counts on. A device that the user signed in
// with before has a counter of its own, which strangers cannot fill, also when
// they share its address.
func (s *Service) signInCounters(a attempt, userID string, epoch int64) (counters []counter, known deviceMark) {
	if userID != "" {
		if mark, ok := knownDevice(a.marks, userID, epoch); ok {
			return []counter{{"device " + mark.device + " " + userID, &limitAccount}}, mark
		}
	}
	account, network := s.loginCounter("password", userID, a.login), addressName(a.client.address)
	return []counter{
		{account + " from " + network, &limitAccount},
		{account, &limitAccountAll},
		{"password address " + network, &limitAddress},
	}, deviceMark{}
}

// checkPassword compares a password with the one held, in the same time whether
// there is one or not. A right one leaves its marks on counters, to be forgiven
// at the end.
func (s *Service) checkPassword(ctx context.Context, password string, held credentials, counters []counter) (stale bool, err error) {
	if wait, err := s.blocked(ctx, counters); err != nil || wait > 0 {
		return false, throttledOr(err, wait)
	}
	leave, err := s.hasher.enter(ctx)
	if err != nil {
		return false, err
	}
	defer leave()
	if wait, err := s.reserve(ctx, counters); err != nil || wait > 0 {
		return false, throttledOr(err, wait)
	}
	if held.hash == "" {
		s.hasher.checkNobody(password)
		return false, problemCredentials
	}
	ok, stale, err := s.hasher.check(password, held.hash)
	if err != nil {
		return false, err
	}
	if !ok {
		return false, problemCredentials
	}
	return stale, nil
}

func throttledOr(err error, wait time.Duration) error {
	if err != nil {
		return err
	}
	return problemThrottled.after(wait)
}

// secondStep asks for the one-time code of a user who enrolled. Who has only the
// password learns that it is right, and no more: that attempt counts neither as
// a failure nor as a success.
func (s *Service) secondStep(ctx context.Context, a attempt, userID string, known deviceMark, counters []counter) error {
	enrolled, err := s.hasTOTP(ctx, userID)
	if err != nil || !enrolled {
		return err
	}
	if a.code == "" {
		if err := s.forgive(ctx, counters, false); err != nil {
			return err
		}
		return problemCodeNeeded
	}
	name := "code user " + userID
	if known.device != "" {
		name = "code device " + known.device + " " + userID
	}
	return s.checkCode(ctx, userID, a.code, []counter{{name, &limitCode}})
}

// startUser starts a session of a user in place of the browser's present one. It
// fails when the password was changed since held was read: whoever changed it
// ended all sessions, and this one must not come after.
func (s *Service) startUser(ctx context.Context, n *session, replaces string, held *credentials) (token string, err error) {
	var ended []Over
	err = s.db.Write(ctx, func(tx *sql.Tx) error {
		ended = nil
		if held != nil {
			now, err := readCredentials(ctx, tx.QueryRowContext, n.Subject)
			if err != nil {
				return err
			}
			if now.changed != held.changed || now.hash == "" {
				return problemCredentials
			}
		}
		if replaces != "" {
			old, err := deleteSessions(ctx, tx, `id = $1`, replaces)
			if err != nil {
				return err
			}
			ended = old
		}
		made, surplus, err := s.insertSession(ctx, tx, n)
		token, ended = made, append(ended, surplus...)
		return err
	})
	if err != nil {
		return "", err
	}
	s.ended(ended)
	return token, nil
}

// rehash replaces a hash of old costs. It is no failure of the sign-in when it
// does not succeed.
func (s *Service) rehash(ctx context.Context, userID, password string, held credentials) {
	leave, err := s.hasher.enter(ctx)
	if err != nil {
		return
	}
	hash := s.hasher.hash(password)
	leave()
	err = s.db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE account_passwords SET hash = $1 WHERE user_id = $2 AND hash = $3`,
			hash, userID, held.hash)
		return err
	})
	if err != nil {
		s.options.Log.WarnContext(ctx, "the hash of a password was not renewed", "error", err)
	}
}

// deviceName is the part of an identity after #: the same for one browser of one
// user, and not the id in its cookie.
func deviceName(device string) string {
	sum := hashToken("device name " + device)
	const letters = "abcdefghijkmnpqrstuvwxyz23456789"
	name := make([]byte, 8)
	for i := range name {
		name[i] = letters[int(sum[i])%len(letters)]
	}
	return string(name)
}

// SetPassword gives a user a local password and ends all the user's sessions.
// mustChange makes the user choose another at the next sign-in. The error is a
// *Problem when the password is not good enough.
func (s *Service) SetPassword(ctx context.Context, user User, password string, mustChange bool) error {
	text, problem := goodPassword(password, user.Login)
	if problem != nil {
		return problem
	}
	leave, err := s.hasher.enter(ctx)
	if err != nil {
		return err
	}
	hash := s.hasher.hash(text)
	leave()
	var over []Over
	err = s.db.Write(ctx, func(tx *sql.Tx) (err error) {
		over, err = s.storePassword(ctx, tx, user.ID, hash, mustChange)
		return err
	})
	if err != nil {
		return err
	}
	s.ended(over)
	return nil
}

// storePassword stores a new password's hash and ends all sessions of the user.
func (s *Service) storePassword(ctx context.Context, tx *sql.Tx, userID, hash string, mustChange bool) (ended []Over, err error) {
	must := 0
	if mustChange {
		must = 1
	}
	// Two changes within a millisecond are two epochs.
	_, err = tx.ExecContext(ctx, `INSERT INTO account_passwords (user_id, hash, changed, must_change) VALUES ($1, $2, $3, $4)
		ON CONFLICT (user_id) DO UPDATE SET hash = excluded.hash, must_change = excluded.must_change,
		changed = CASE WHEN account_passwords.changed >= excluded.changed THEN account_passwords.changed + 1 ELSE excluded.changed END`,
		userID, hash, millis(s.now()), must)
	if err != nil {
		return nil, err
	}
	return deleteSessions(ctx, tx, `kind = $1 AND subject = $2`, string(KindUser), userID)
}

// RemovePassword leaves a user with single sign-on only and ends all sessions.
func (s *Service) RemovePassword(ctx context.Context, userID string) error {
	var over []Over
	err := s.db.Write(ctx, func(tx *sql.Tx) (err error) {
		if _, err = tx.ExecContext(ctx, `DELETE FROM account_passwords WHERE user_id = $1`, userID); err != nil {
			return err
		}
		over, err = deleteSessions(ctx, tx, `kind = $1 AND subject = $2`, string(KindUser), userID)
		return err
	})
	if err != nil {
		return err
	}
	s.ended(over)
	return nil
}

// reauthenticate checks the password of a user who is signed in, before what a
// found open browser must not do. Its counter is not that of signing in: a
// stolen session must not lock its owner out.
func (s *Service) reauthenticate(ctx context.Context, p Principal, password string) (held credentials, err error) {
	text, ok := prepared(password)
	if !ok {
		return held, problemCredentials
	}
	if held, err = readCredentials(ctx, s.db.QueryRow, p.ID); err != nil {
		return held, err
	}
	counters := []counter{{"again user " + p.ID, &limitAccount}}
	if _, err = s.checkPassword(ctx, text, held, counters); err != nil {
		return held, err
	}
	return held, s.forgive(ctx, counters, true)
}

// changePassword changes the password of a user who is signed in, ends all the
// user's sessions and starts a new one in their place.
func (s *Service) changePassword(ctx context.Context, p Principal, old, password string, marks []deviceMark, c client) (in signedIn, err error) {
	held, err := s.reauthenticate(ctx, p, old)
	if err != nil {
		return in, err
	}
	if in.user, err = s.users.ByID(ctx, p.ID); err != nil {
		return in, err
	}
	text, problem := goodPassword(password, in.user.Login)
	if problem != nil {
		return in, problem
	}
	if before, _ := prepared(old); before == text {
		return in, problemPasswordSame
	}
	leave, err := s.hasher.enter(ctx)
	if err != nil {
		return in, err
	}
	hash := s.hasher.hash(text)
	leave()
	in.device = deviceOf(marks, p.ID)
	var ended []Over
	err = s.db.Write(ctx, func(tx *sql.Tx) error {
		now, err := readCredentials(ctx, tx.QueryRowContext, p.ID)
		if err != nil {
			return err
		}
		if now.changed != held.changed {
			return problemCredentials
		}
		if ended, err = s.storePassword(ctx, tx, p.ID, hash, false); err != nil {
			return err
		}
		if now, err = readCredentials(ctx, tx.QueryRowContext, p.ID); err != nil {
			return err
		}
		in.epoch = now.changed
		in.session = session{Kind: KindUser, Method: methodPassword, Subject: p.ID, Label: c.label, Address: c.address,
			Device: deviceName(in.device)}
		in.token, _, err = s.insertSession(ctx, tx, &in.session)
		return err
	})
	if err != nil {
		return in, err
	}
	s.ended(ended)
	return in, nil
}

// statusOf makes any error a problem.
func statusOf(err error) *Problem {
	var p *Problem
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, errHashBusy):
		return problemBusy
	case errors.Is(err, errSealed), errors.Is(err, errHashText), errors.Is(err, errHashLimit):
		return problemInternal
	default:
		return problemUnavailable
	}
}
