package account

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"math/bits"
	"net"
	"net/netip"
	"time"

	"diemcau/signaling/store"
)

// limit says how failures slow down further attempts. The first free failures
// cost nothing; after that each doubles the pause, from first up to most. The
// lockAfter-th locks for lock, which doubles with each lock up to mostLock.
// After quiet without an attempt everything is forgotten.
type limit struct {
	free           int
	first, most    time.Duration
	lockAfter      int
	lock, mostLock time.Duration
	quiet          time.Duration
	keep           bool // a right attempt takes back its own mark and no more
}

var (
	// Guesses at one account's password from the unknown devices of one network, or
	// from one known device.
	limitAccount = limit{free: 3, first: time.Second, most: 30 * time.Second,
		lockAfter: 10, lock: 15 * time.Minute, mostLock: 15 * time.Minute, quiet: time.Hour}
	// Guesses at one account's password from all unknown devices: somebody at one
	// address cannot lock the account for the owner, who is at another.
	limitAccountAll = limit{free: 30, first: time.Second, most: 30 * time.Second,
		lockAfter: 50, lock: 30 * time.Minute, mostLock: 30 * time.Minute, quiet: time.Hour}
	// Guesses at the one-time code by who knows the password: 3 of a million
	// codes are right at a time, so locks double.
	limitCode = limit{free: 3, first: time.Second, most: 30 * time.Second,
		lockAfter: 10, lock: 15 * time.Minute, mostLock: 24 * time.Hour, quiet: 24 * time.Hour}
	// Guesses from one address, behind which a whole office may be. Somebody who
	// has an account must not wash the address clean with it.
	limitAddress = limit{free: 20, first: time.Second, most: time.Minute,
		lockAfter: 60, lock: 15 * time.Minute, mostLock: 24 * time.Hour, quiet: time.Hour, keep: true}
	// Guesses at device codes: see the package comment for the odds.
	limitEnrolAddress = limit{free: 2, first: 2 * time.Second, most: time.Minute,
		lockAfter: 5, lock: 15 * time.Minute, mostLock: 24 * time.Hour, quiet: 24 * time.Hour, keep: true}
	limitEnrolAll = limit{free: 10, lockAfter: 10, lock: 10 * time.Minute, mostLock: 24 * time.Hour,
		quiet: 2 * time.Hour, keep: true}
	// Guest links cannot be guessed, nor what a single sign-on provider answers; this
	// keeps one address from filling tables and from asking the provider at will.
	limitLink = limit{free: 20, first: time.Second, most: time.Minute,
		lockAfter: 60, lock: 15 * time.Minute, mostLock: time.Hour, quiet: time.Hour, keep: true}
)

// counter is a row of failures.
type counter struct {
	name  string
	limit *limit
}

type failures struct {
	failures, locks, until, forget int64
}

// reserve counts an attempt as failed before it is made, so that attempts made
// at the same moment all count; forgive takes it back. It answers how long to
// wait when there must be no attempt now.
func (s *Service) reserve(ctx context.Context, counters []counter) (wait time.Duration, err error) {
	err = s.db.Write(ctx, func(tx *sql.Tx) error {
		now := s.now()
		rows := make([]failures, len(counters))
		wait = 0
		for i, c := range counters {
			row, err := readFailures(tx.QueryRowContext(ctx, failuresQuery, c.name), now)
			if err != nil {
				return err
			}
			rows[i] = row
			wait = max(wait, fromMillis(row.until).Sub(now))
		}
		if wait > 0 {
			return nil
		}
		for i, c := range counters {
			if err := writeFailures(ctx, tx, c.name, rows[i].another(c.limit, now), now); err != nil {
				return err
			}
		}
		return nil
	})
	return wait, err
}

// blocked is reserve without counting, for an early answer.
func (s *Service) blocked(ctx context.Context, counters []counter) (wait time.Duration, err error) {
	now := s.now()
	for _, c := range counters {
		row, err := readFailures(s.db.QueryRow(ctx, failuresQuery, c.name), now)
		if err != nil {
			return 0, err
		}
		wait = max(wait, fromMillis(row.until).Sub(now))
	}
	return wait, nil
}

// another is f after one more failure.
func (f failures) another(l *limit, now time.Time) failures {
	if f.failures >= int64(l.lockAfter) { // the lock has passed
		f.failures = 0
	}
	f.failures++
	pause := time.Duration(0)
	switch {
	case f.failures >= int64(l.lockAfter):
		f.locks++
		pause = doubled(l.lock, f.locks-1, l.mostLock)
	case f.failures > int64(l.free):
		pause = doubled(l.first, f.failures-int64(l.free)-1, l.most)
	}
	f.until = millis(now.Add(pause))
	f.forget = millis(now.Add(pause + l.quiet))
	return f
}

func doubled(d time.Duration, times int64, most time.Duration) time.Duration {
	if d <= 0 || times < 0 || times >= int64(bits.LeadingZeros64(uint64(d)))-1 {
		return most
	}
	return min(d<<times, most)
}

// forgive takes back the marks of reserve: all failures of a counter after a
// right attempt (right), else only the attempt's own. It also works for a client
// that has gone, for the attempt was counted.
func (s *Service) forgive(ctx context.Context, counters []counter, right bool) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return s.db.Write(ctx, func(tx *sql.Tx) error {
		now := s.now()
		for _, c := range counters {
			if right && !c.limit.keep {
				if _, err := tx.ExecContext(ctx, `DELETE FROM account_failures WHERE name = $1`, c.name); err != nil {
					return err
				}
				continue
			}
			row, err := readFailures(tx.QueryRowContext(ctx, failuresQuery, c.name), now)
			if err != nil {
				return err
			}
			if row.failures == 0 {
				continue
			}
			if row.failures >= int64(c.limit.lockAfter) {
				row.locks = max(row.locks-1, 0)
			}
			row.failures--
			row.until = millis(now)
			if err := writeFailures(ctx, tx, c.name, row, now); err != nil {
				return err
			}
		}
		return nil
	})
}

const failuresQuery = `SELECT failures, locks, until, forget FROM account_failures WHERE name = $1`

func readFailures(row *sql.Row, now time.Time) (f failures, err error) {
	err = row.Scan(&f.failures, &f.locks, &f.until, &f.forget)
	if errors.Is(err, sql.ErrNoRows) || err == nil && f.forget <= millis(now) {
		return failures{}, nil
	}
	return f, err
}

func writeFailures(ctx context.Context, tx *sql.Tx, name string, f failures, now time.Time) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO account_failures (name, failures, locks, last, until, forget)
		VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (name) DO UPDATE SET failures = excluded.failures, locks = excluded.locks,
			last = excluded.last, until = excluded.until, forget = excluded.forget`,
		name, f.failures, f.locks, millis(now), f.until, f.forget)
	return err
}

// loginCounter names the counter of a login. All spellings that lead to one user
// share a counter, and so do the spellings of a login that nobody has, which is
// counted alike: a difference would tell which logins there are.
func (s *Service) loginCounter(kind, userID, login string) string {
	if userID != "" {
		return kind + " user " + userID
	}
	return kind + " login " + hex.EncodeToString(s.key.mac("login", store.Fold(login)))
}

// addressName is the network that one client can be anywhere in: the address of
// IPv4, the /64 of IPv6. What does not parse shares one name.
func addressName(address string) string {
	addr, err := netip.ParseAddr(address)
	if err != nil {
		return "unknown"
	}
	addr = addr.Unmap().WithZone("")
	size := addr.BitLen()
	if addr.Is6() {
		size = 64
	}
	prefix, err := addr.Prefix(size)
	if err != nil {
		return "unknown"
	}
	return prefix.String()
}

// addressOf is the host of http.Request.RemoteAddr.
func addressOf(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Unmap().String()
	}
	return cleaned(host, 64)
}
