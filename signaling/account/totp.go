package account

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"database/sql"
	"encoding/base32"
	"errors"
	"strings"
	"time"

	"github.com/pquerna/otp/hotp"
	"github.com/pquerna/otp/totp"
)

const (
	totpPeriod        = 30 // seconds; RFC 6238, section 4.1
	totpSkew          = 1  // periods before and after the present one; section 5.2
	enrolmentLasts    = 15 * time.Minute
	recoveryCodes     = 10
	recoveryCodeBytes = 10 // 80 bits, 16 characters
)

type totpRow struct {
	secret    string
	created   time.Time
	confirmed bool
	counter   int64
}

func (s *Service) readTOTP(ctx context.Context, userID string) (row totpRow, found bool, err error) {
	var sealed []byte
	var created, confirmed int64
	err = s.db.QueryRow(ctx, `SELECT secret, created, confirmed, counter FROM account_totp WHERE user_id = $1`, userID).
		Scan(&sealed, &created, &confirmed, &row.counter)
	if errors.Is(err, sql.ErrNoRows) {
		return row, false, nil
	}
	if err != nil {
		return row, false, err
	}
	secret, err := s.key.open("totp", userID, sealed)
	row.secret, row.created, row.confirmed = string(secret), fromMillis(created), confirmed != 0
	return row, err == nil, err
}

func (s *Service) hasTOTP(ctx context.Context, userID string) (bool, error) {
	row, found, err := s.readTOTP(ctx, userID)
	return found && row.confirmed, err
}

// enrolTOTP makes a secret and answers it as an otpauth URI, the only time it is
// shown. It is not asked for before confirmTOTP.
func (s *Service) enrolTOTP(ctx context.Context, user User) (uri string, err error) {
	key, err := totp.Generate(totp.GenerateOpts{Issuer: s.options.Product, AccountName: user.Login, SecretSize: 20})
	if err != nil {
		return "", err
	}
	sealed := s.key.seal("totp", user.ID, []byte(key.Secret()))
	err = s.db.Write(ctx, func(tx *sql.Tx) error {
		done, err := tx.ExecContext(ctx, `INSERT INTO account_totp (user_id, secret, created, confirmed, counter)
			VALUES ($1, $2, $3, 0, 0) ON CONFLICT (user_id) DO UPDATE SET secret = excluded.secret,
			created = excluded.created, counter = 0 WHERE account_totp.confirmed = 0`, user.ID, sealed, millis(s.now()))
		return oneRow(done, err, problemTOTPActive)
	})
	return key.URL(), err
}

// confirmTOTP turns one-time codes on with the first code and answers the
// recovery codes, the only time they are shown.
func (s *Service) confirmTOTP(ctx context.Context, userID, code string) (codes []string, err error) {
	row, found, err := s.readTOTP(ctx, userID)
	if err != nil {
		return nil, err
	}
	switch {
	case found && row.confirmed:
		return nil, problemTOTPActive
	case !found || s.now().Sub(row.created) > enrolmentLasts:
		return nil, problemTOTPInactive
	}
	counters := []counter{{"confirm user " + userID, &limitCode}}
	if wait, err := s.reserve(ctx, counters); err != nil || wait > 0 {
		return nil, throttledOr(err, wait)
	}
	step, ok := matchTOTP(row.secret, code, s.now())
	if !ok {
		return nil, problemCode
	}
	codes, hashes := s.newRecoveryCodes(userID)
	err = s.db.Write(ctx, func(tx *sql.Tx) error {
		done, err := tx.ExecContext(ctx, `UPDATE account_totp SET confirmed = $1, counter = $2
			WHERE user_id = $3 AND confirmed = 0 AND created = $4`, millis(s.now()), step, userID, millis(row.created))
		if err := oneRow(done, err, problemTOTPInactive); err != nil {
			return err
		}
		return storeRecovery(ctx, tx, userID, hashes)
	})
	if err != nil {
		return nil, err
	}
	return codes, s.forgive(ctx, counters, true)
}

// matchTOTP finds the time step that code belongs to.
func matchTOTP(secret, code string, now time.Time) (step int64, ok bool) {
	present := now.Unix() / totpPeriod
	for candidate := present - totpSkew; candidate <= present+totpSkew; candidate++ {
		want, err := hotp.GenerateCode(secret, uint64(candidate))
		if err == nil && subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 {
			step, ok = candidate, true
		}
	}
	return step, ok
}

// checkCode uses up a one-time code or a recovery code of a user. It counts on
// counters, and clears them when the code is right.
func (s *Service) checkCode(ctx context.Context, userID, code string, counters []counter) error {
	if wait, err := s.reserve(ctx, counters); err != nil || wait > 0 {
		return throttledOr(err, wait)
	}
	row, found, err := s.readTOTP(ctx, userID)
	if err != nil {
		return err
	}
	if !found || !row.confirmed {
		return problemTOTPInactive
	}
	if code = strings.Join(strings.Fields(code), ""); isSixDigits(code) {
		err = s.useTOTP(ctx, userID, row, code)
	} else {
		err = s.useRecovery(ctx, userID, code)
	}
	if err != nil {
		return err
	}
	return s.forgive(ctx, counters, true)
}

func isSixDigits(code string) bool {
	for _, r := range code {
		if r < '0' || r > '9' {
			return false
		}
	}
	return len(code) == 6
}

// useTOTP accepts each time step once (RFC 6238, section 5.2), also when two
// requests bring the code at the same moment.
func (s *Service) useTOTP(ctx context.Context, userID string, row totpRow, code string) error {
	step, ok := matchTOTP(row.secret, code, s.now())
	if !ok {
		return problemCode
	}
	return s.db.Write(ctx, func(tx *sql.Tx) error {
		done, err := tx.ExecContext(ctx,
			`UPDATE account_totp SET counter = $1 WHERE user_id = $2 AND counter < $1 AND created = $3`,
			step, userID, millis(row.created))
		return oneRow(done, err, problemCode)
	})
}

func (s *Service) useRecovery(ctx context.Context, userID, code string) error {
	code = strings.ToUpper(strings.ReplaceAll(code, "-", ""))
	if len(code) != base32.StdEncoding.EncodedLen(recoveryCodeBytes) {
		return problemCode
	}
	return s.db.Write(ctx, func(tx *sql.Tx) error {
		done, err := tx.ExecContext(ctx, `UPDATE account_recovery SET used = $1 WHERE user_id = $2 AND hash = $3 AND used = 0`,
			millis(s.now()), userID, s.key.mac("recovery", userID+" "+code))
		return oneRow(done, err, problemCode)
	})
}

// newRecoveryCodes makes codes such as ABCD-EFGH-IJKL-MNOP and what is stored of
// them.
func (s *Service) newRecoveryCodes(userID string) (codes []string, hashes [][]byte) {
	for range recoveryCodes {
		raw := make([]byte, recoveryCodeBytes)
		_, _ = rand.Read(raw) // never fails
		c := base32.StdEncoding.EncodeToString(raw)
		codes = append(codes, c[:4]+"-"+c[4:8]+"-"+c[8:12]+"-"+c[12:])
		hashes = append(hashes, s.key.mac("recovery", userID+" "+c))
	}
	return codes, hashes
}

func storeRecovery(ctx context.Context, tx *sql.Tx, userID string, hashes [][]byte) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM account_recovery WHERE user_id = $1`, userID); err != nil {
		return err
	}
	for _, hash := range hashes {
		if _, err := tx.ExecContext(ctx, `INSERT INTO account_recovery (user_id, hash, used) VALUES ($1, $2, 0)`,
			userID, hash); err != nil {
			return err
		}
	}
	return nil
}

// renewRecovery replaces all recovery codes of a user.
func (s *Service) renewRecovery(ctx context.Context, userID string) ([]string, error) {
	codes, hashes := s.newRecoveryCodes(userID)
	err := s.db.Write(ctx, func(tx *sql.Tx) error { return storeRecovery(ctx, tx, userID, hashes) })
	return codes, err
}

// recoveryLeft counts the recovery codes that were not used.
func (s *Service) recoveryLeft(ctx context.Context, userID string) (n int, err error) {
	err = s.db.QueryRow(ctx, `SELECT COUNT(*) FROM account_recovery WHERE user_id = $1 AND used = 0`, userID).Scan(&n)
	return n, err
}

// RemoveTOTP turns one-time codes of a user off, who lost the device and the
// recovery codes.
func (s *Service) RemoveTOTP(ctx context.Context, userID string) error {
	return s.db.Write(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM account_recovery WHERE user_id = $1`, userID); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM account_totp WHERE user_id = $1`, userID)
		return err
	})
}

// oneRow answers otherwise when a statement changed no row.
func oneRow(done sql.Result, err error, otherwise error) error {
	if err != nil {
		return err
	}
	if n, err := done.RowsAffected(); err != nil || n == 1 {
		return err
	}
	return otherwise
}
