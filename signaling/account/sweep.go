package account

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

const (
	sweepEvery  = 10 * time.Minute // shorter than any session lasts
	sweepLeast  = time.Second      // between two sweeps, when many sessions expire one after the other
	sweepRetry  = 10 * time.Second // after a failure
	maxFailures = 100_000          // rows of counters
)

// Run ends sessions when they expire, and sweeps, until ctx ends.
func (s *Service) Run(ctx context.Context) {
	for {
		wait, err := s.nextSweep(ctx)
		if err == nil {
			err = s.pause(ctx, wait, s.Sweep)
		}
		if err != nil && ctx.Err() == nil {
			s.options.Log.WarnContext(ctx, "expired sessions were not swept", "error", err)
			err = s.pause(ctx, sweepRetry, func(context.Context) error { return nil })
		}
		if ctx.Err() != nil || errors.Is(err, context.Canceled) {
			return
		}
	}
}

// pause waits and then calls fn, or answers that ctx has ended.
func (s *Service) pause(ctx context.Context, wait time.Duration, fn func(context.Context) error) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return fn(ctx)
	}
}

// nextSweep is how long until the first session expires. One that starts later
// does not expire within sweepEvery.
func (s *Service) nextSweep(ctx context.Context) (time.Duration, error) {
	var first sql.NullInt64
	err := s.db.QueryRow(ctx, `SELECT MIN(CASE WHEN idle < expires THEN idle ELSE expires END) FROM account_sessions`).Scan(&first)
	if err != nil || !first.Valid {
		return sweepEvery, err
	}
	return min(max(fromMillis(first.Int64).Sub(s.now()), sweepLeast), sweepEvery), nil
}

// Sweep deletes what has expired. Nothing depends on it but the size of the
// tables and the sockets of sessions: what has expired is refused anyway.
func (s *Service) Sweep(ctx context.Context) error {
	now := s.now()
	var ended []Over
	err := s.db.Write(ctx, func(tx *sql.Tx) (err error) {
		if ended, err = deleteSessions(ctx, tx, `expires <= $1 OR idle <= $1`, millis(now)); err != nil {
			return err
		}
		for _, sweep := range []struct {
			query string
			arg   int64
		}{
			{`DELETE FROM account_failures WHERE forget <= $1`, millis(now)},
			{`DELETE FROM account_sso_states WHERE expires <= $1`, millis(now)},
			{`DELETE FROM account_device_codes WHERE expires <= $1`, millis(now)},
			{`DELETE FROM account_totp WHERE confirmed = 0 AND created <= $1`, millis(now.Add(-enrolmentLasts))},
			{`DELETE FROM account_guest_links WHERE expires <= $1`, millis(now.Add(-keepGuestsKnown))},
			{`DELETE FROM account_guests WHERE created <= $1`, millis(now.Add(-keepGuestsKnown))},
			// Somebody with very many addresses fills the table; a lock outlives that.
			{`DELETE FROM account_failures WHERE name IN (SELECT name FROM account_failures WHERE locks = 0
				ORDER BY last DESC LIMIT 1000000 OFFSET $1)`, maxFailures},
		} {
			if _, err := tx.ExecContext(ctx, sweep.query, sweep.arg); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i := range ended {
		ended[i].Expired = true
	}
	s.ended(ended)
	return nil
}

// EndGone ends the sessions of users and points who were disabled or removed, and
// tells the owner of sockets. Requests of theirs are refused without it; it is for
// changes of the directory that do not say whom they concern, such as an import.
func (s *Service) EndGone(ctx context.Context) error {
	living, err := s.subjects(ctx)
	if err != nil {
		return err
	}
	for _, of := range living {
		err := error(nil)
		switch of.kind {
		case KindUser:
			var user User
			if user, err = s.users.ByID(ctx, of.subject); err == nil && !user.Enabled {
				err = ErrNoUser
			}
		case KindPoint:
			_, err = s.options.Points.Point(ctx, of.subject)
		}
		switch {
		case errors.Is(err, ErrNoUser):
			err = s.EndSessions(ctx, of.subject)
		case errors.Is(err, ErrNoPoint):
			err = s.EndPoint(ctx, of.subject)
		}
		if err != nil {
			return fmt.Errorf("account: %w", err)
		}
	}
	return nil
}

type owner struct {
	kind    Kind
	subject string
}

// subjects are those who have sessions.
func (s *Service) subjects(ctx context.Context) (list []owner, err error) {
	rows, err := s.db.Query(ctx, `SELECT DISTINCT kind, subject FROM account_sessions`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var of owner
		if err := rows.Scan(&of.kind, &of.subject); err != nil {
			return nil, err
		}
		list = append(list, of)
	}
	return list, rows.Err()
}
