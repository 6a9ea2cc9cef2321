package account

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"math/big"
	"time"

	"diemcau/signaling/store"
)

const (
	deviceCodeLasts = 10 * time.Minute
	// maxDeviceCodes bounds how many codes a guess can hit.
	maxDeviceCodes = 20
)

// newDeviceCode makes the code that one device of a point enrols with. A point's
// earlier code is void.
func (s *Service) newDeviceCode(ctx context.Context, point Point, madeBy string) (code string, expires time.Time, err error) {
	for range 20 { // another point may have the same code; that is rare
		number, err := rand.Int(rand.Reader, big.NewInt(1_000_000))
		if err != nil {
			return "", expires, err
		}
		code = fmt.Sprintf("%06d", number)
		expires, err = s.storeDeviceCode(ctx, code, point, madeBy)
		if !store.IsUnique(err) {
			return code, expires, err
		}
	}
	return "", expires, problemManyCodes
}

func (s *Service) storeDeviceCode(ctx context.Context, code string, point Point, madeBy string) (expires time.Time, err error) {
	err = s.db.Write(ctx, func(tx *sql.Tx) error {
		now := s.now()
		expires = now.Add(deviceCodeLasts)
		if _, err := tx.ExecContext(ctx, `DELETE FROM account_device_codes WHERE point = $1 OR expires <= $2`,
			point.ID, millis(now)); err != nil {
			return err
		}
		var n int
		if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM account_device_codes`).Scan(&n); err != nil {
			return err
		}
		if n >= maxDeviceCodes {
			return problemManyCodes
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO account_device_codes (code, point, made_by, created, expires)
			VALUES ($1, $2, $3, $4, $5)`, s.key.mac("device code", code), point.ID, madeBy, millis(now), millis(expires))
		return err
	})
	return expires, err
}

// enrolDevice exchanges a code for a session of the code's point. administrator is
// the identity of one who is signed in on this device, whom strangers' guesses do
// not hold up, or "". replaces is the browser's present session.
func (s *Service) enrolDevice(ctx context.Context, code, label string, c client, replaces, administrator string) (token string, n session, err error) {
	counters := []counter{
		{"enrol address " + addressName(c.address), &limitEnrolAddress},
		{"enrol", &limitEnrolAll},
	}
	if administrator != "" {
		counters = []counter{{"enrol by " + administrator, &limitEnrolAddress}}
	}
	if wait, err := s.reserve(ctx, counters); err != nil || wait > 0 {
		return "", n, throttledOr(err, wait)
	}
	var ended []Over
	err = s.db.Write(ctx, func(tx *sql.Tx) error {
		ended = nil
		var point, madeBy string
		err := tx.QueryRowContext(ctx, `DELETE FROM account_device_codes WHERE code = $1 AND expires > $2
			RETURNING point, made_by`, s.key.mac("device code", code), millis(s.now())).Scan(&point, &madeBy)
		if errors.Is(err, sql.ErrNoRows) {
			return problemEnrolCode
		}
		if err != nil {
			return err
		}
		if replaces != "" {
			if ended, err = deleteSessions(ctx, tx, `id = $1`, replaces); err != nil {
				return err
			}
		}
		n = session{Kind: KindPoint, Method: methodCode, Subject: point, Label: label, Address: c.address, MadeBy: madeBy}
		token, _, err = s.insertSession(ctx, tx, &n)
		return err
	})
	if err != nil {
		return "", n, err
	}
	s.ended(ended)
	return token, n, s.forgive(ctx, counters, true)
}

// devices lists the enrolled devices of a point.
func (s *Service) devices(ctx context.Context, pointID string) ([]session, error) {
	return s.sessions(ctx, `kind = $1 AND subject = $2`, string(KindPoint), pointID)
}

// deviceByID finds an enrolled device; problemNotFound.
func (s *Service) deviceByID(ctx context.Context, id string) (session, error) {
	n, err := scanSession(s.db.QueryRow(ctx, `SELECT `+sessionColumns+` FROM account_sessions WHERE id = $1 AND kind = $2`,
		id, string(KindPoint)))
	if errors.Is(err, sql.ErrNoRows) {
		return n, problemNotFound
	}
	return n, err
}
