package account

import (
	"context"
	"database/sql"
	"time"
)

const (
	sweepEvery  = 10 * time.Minute
	maxFailures = 100_000 // rows of counters
)

// Run sweeps now and then until ctx ends.
func (s *Service) Run(ctx context.Context) {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
			s.options.Log.WarnContext(ctx, "expired sessions were not swept", "error", err)
		}
	}
}

// Sweep deletes what has expired. Nothing depends on it but the size of the
// tables: what has expired is refused anyway.
func (s *Service) Sweep(ctx context.Context) error {
	now := s.now()
	var ended []string
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
	if err == nil {
		s.ended(ended)
	}
	return err
}
