package account

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/google/uuid"
)

// GuestState says how far a guest has come.
type GuestState string

// The states of a guest.
const (
	GuestLobby    GuestState = "lobby"
	GuestAdmitted GuestState = "admitted"
	GuestRefused  GuestState = "refused"
)

// Guest is somebody who came by a guest link.
type Guest struct {
	ID      string     `json:"id"`
	Meeting string     `json:"meeting"`
	Name    string     `json:"name"`
	State   GuestState `json:"state"`
	Created time.Time  `json:"created"`
}

// GuestLink is a link to a meeting's lobby, without its token.
type GuestLink struct {
	ID      string    `json:"id"`
	Meeting string    `json:"meeting"`
	Label   string    `json:"label"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
	MaxUses int       `json:"maxUses"`
	Uses    int       `json:"uses"`
	Revoked bool      `json:"revoked"`
}

const (
	maxLobby        = 100 // guests who wait for one meeting
	maxLinks        = 100 // of one meeting, not yet expired or revoked
	maxLinkUses     = 1000
	longestLink     = 60 * 24 * time.Hour
	keepGuestsKnown = 30 * 24 * time.Hour // after they came
)

// newGuestLink makes a link; its token is answered this once.
func (s *Service) newGuestLink(ctx context.Context, l GuestLink, madeBy string) (GuestLink, string, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return l, "", err
	}
	token, hash := newToken()
	l.ID, l.Created = id.String(), s.now()
	l.Expires = l.Expires.UTC().Truncate(time.Millisecond)
	err = s.db.Write(ctx, func(tx *sql.Tx) error {
		var n int
		if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM account_guest_links
			WHERE meeting = $1 AND revoked = 0 AND expires > $2`, l.Meeting, millis(l.Created)).Scan(&n); err != nil {
			return err
		}
		if n >= maxLinks {
			return problemManyLinks
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO account_guest_links
			(id, token, meeting, label, made_by, created, expires, max_uses, uses, revoked)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, 0)`,
			l.ID, hash, l.Meeting, l.Label, madeBy, millis(l.Created), millis(l.Expires), l.MaxUses)
		return err
	})
	return l, token, err
}

const linkColumns = `id, meeting, label, created, expires, max_uses, uses, revoked`

func scanLink(row scanner) (l GuestLink, err error) {
	var created, expires, revoked int64
	err = row.Scan(&l.ID, &l.Meeting, &l.Label, &created, &expires, &l.MaxUses, &l.Uses, &revoked)
	l.Created, l.Expires, l.Revoked = fromMillis(created), fromMillis(expires), revoked != 0
	return l, err
}

// guestLinks lists the links of a meeting, the latest first.
func (s *Service) guestLinks(ctx context.Context, meeting string) ([]GuestLink, error) {
	rows, err := s.db.Query(ctx, `SELECT `+linkColumns+` FROM account_guest_links WHERE meeting = $1
		ORDER BY created DESC, id DESC LIMIT 1000`, meeting)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	list := []GuestLink{}
	for rows.Next() {
		l, err := scanLink(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, l)
	}
	return list, rows.Err()
}

// guestLink finds a link; problemNotFound.
func (s *Service) guestLink(ctx context.Context, id string) (GuestLink, error) {
	l, err := scanLink(s.db.QueryRow(ctx, `SELECT `+linkColumns+` FROM account_guest_links WHERE id = $1`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return l, problemNotFound
	}
	return l, err
}

// revokeLink closes a link and turns away those who came by it and still wait.
// Whoever was admitted stays: that was decided by a person.
func (s *Service) revokeLink(ctx context.Context, id, by string) error {
	var gone []Guest
	var ended []Over
	err := s.db.Write(ctx, func(tx *sql.Tx) error {
		gone, ended = nil, nil
		now := millis(s.now())
		done, err := tx.ExecContext(ctx, `UPDATE account_guest_links SET revoked = $1 WHERE id = $2 AND revoked = 0`, now, id)
		if err := oneRow(done, err, problemNotFound); err != nil {
			return err
		}
		rows, err := tx.QueryContext(ctx, `UPDATE account_guests SET state = 'refused', decided = $1, decided_by = $2
			WHERE link = $3 AND state = 'lobby' RETURNING `+guestColumns, now, by, id)
		if err != nil {
			return err
		}
		if gone, err = scanGuests(rows); err != nil {
			return err
		}
		for _, g := range gone {
			over, err := deleteSessions(ctx, tx, `kind = $1 AND subject = $2`, string(KindGuest), g.ID)
			if err != nil {
				return err
			}
			ended = append(ended, over...)
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.ended(ended)
	for _, g := range gone {
		s.options.GuestChanged(g)
	}
	return nil
}

const guestColumns = `id, meeting, name, state, created`

func scanGuest(row scanner) (g Guest, err error) {
	var created int64
	err = row.Scan(&g.ID, &g.Meeting, &g.Name, &g.State, &created)
	g.Created = fromMillis(created)
	return g, err
}

func scanGuests(rows *sql.Rows) (list []Guest, err error) {
	defer rows.Close()
	list = []Guest{}
	for rows.Next() {
		g, err := scanGuest(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, g)
	}
	return list, rows.Err()
}

// redeem lets a guest into the lobby of a link's meeting: one use of the link,
// counted in the same transaction.
func (s *Service) redeem(ctx context.Context, token, name string, c client, replaces string) (made string, g Guest, n session, err error) {
	if !validToken(token) {
		return "", g, n, problemLink
	}
	id, err := uuid.NewV7()
	if err != nil {
		return "", g, n, err
	}
	var ended []Over
	err = s.db.Write(ctx, func(tx *sql.Tx) error {
		ended = nil
		now := s.now()
		g = Guest{ID: id.String(), Name: name, State: GuestLobby, Created: now}
		var link string
		err := tx.QueryRowContext(ctx, `UPDATE account_guest_links SET uses = uses + 1
			WHERE token = $1 AND uses < max_uses AND revoked = 0 AND expires > $2 RETURNING id, meeting`,
			hashToken(token), millis(now)).Scan(&link, &g.Meeting)
		if errors.Is(err, sql.ErrNoRows) {
			return problemLink
		}
		if err != nil {
			return err
		}
		if replaces != "" {
			if ended, err = deleteSessions(ctx, tx, `id = $1`, replaces); err != nil {
				return err
			}
		}
		waiting, err := countWaiting(ctx, tx, g.Meeting, now)
		if err != nil {
			return err
		}
		if waiting >= maxLobby {
			return problemLobbyFull
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO account_guests
			(id, link, meeting, name, state, created, decided, decided_by) VALUES ($1, $2, $3, $4, 'lobby', $5, 0, '')`,
			g.ID, link, g.Meeting, g.Name, millis(now)); err != nil {
			return err
		}
		n = session{Kind: KindGuest, Method: methodLink, Subject: g.ID, Label: c.label, Address: c.address}
		made, _, err = s.insertSession(ctx, tx, &n)
		return err
	})
	if err != nil {
		return "", g, n, err
	}
	s.ended(ended)
	s.options.GuestChanged(g)
	return made, g, n, nil
}

// Those who left, whose session is over, take no place in the lobby.
const waitingWhere = `meeting = $1 AND state = 'lobby' AND EXISTS (SELECT 1 FROM account_sessions
	WHERE kind = 'guest' AND subject = account_guests.id AND idle > $2 AND expires > $2)`

func countWaiting(ctx context.Context, tx *sql.Tx, meeting string, now time.Time) (n int, err error) {
	err = tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM account_guests WHERE `+waitingWhere, meeting, millis(now)).Scan(&n)
	return n, err
}

// Lobby lists who waits for a meeting, the first comer first.
func (s *Service) Lobby(ctx context.Context, meeting string) ([]Guest, error) {
	rows, err := s.db.Query(ctx, `SELECT `+guestColumns+` FROM account_guests WHERE `+waitingWhere+` ORDER BY created, id`,
		meeting, millis(s.now()))
	if err != nil {
		return nil, err
	}
	return scanGuests(rows)
}

// Guest finds a guest; the error is a *Problem with code not_found if there is none.
func (s *Service) Guest(ctx context.Context, id string) (Guest, error) {
	g, err := scanGuest(s.db.QueryRow(ctx, `SELECT `+guestColumns+` FROM account_guests WHERE id = $1`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return g, problemNotFound
	}
	return g, err
}

// Admit lets a guest of the lobby into the meeting. by is the identity of who
// decided. The error is a *Problem when there is nobody to admit.
func (s *Service) Admit(ctx context.Context, guestID, by string) (Guest, error) {
	g, _, err := s.decide(ctx, guestID, by, GuestAdmitted, `state = 'lobby'`)
	return g, err
}

// Refuse turns a guest away, from the lobby or out of the meeting, and ends the
// guest's session.
func (s *Service) Refuse(ctx context.Context, guestID, by string) (Guest, error) {
	g, ended, err := s.decide(ctx, guestID, by, GuestRefused, `state <> 'refused'`)
	if err == nil {
		s.ended(ended)
	}
	return g, err
}

func (s *Service) decide(ctx context.Context, id, by string, state GuestState, where string) (g Guest, ended []Over, err error) {
	err = s.db.Write(ctx, func(tx *sql.Tx) error {
		ended = nil
		var err error
		g, err = scanGuest(tx.QueryRowContext(ctx, `UPDATE account_guests SET state = $1, decided = $2, decided_by = $3
			WHERE id = $4 AND `+where+` RETURNING `+guestColumns, string(state), millis(s.now()), by, id))
		if errors.Is(err, sql.ErrNoRows) {
			return problemGuestDecided
		}
		if err != nil || state != GuestRefused {
			return err
		}
		ended, err = deleteSessions(ctx, tx, `kind = $1 AND subject = $2`, string(KindGuest), id)
		return err
	})
	if err == nil {
		s.options.GuestChanged(g)
	}
	return g, ended, err
}

func (s *Service) guestPrincipal(ctx context.Context, p *Principal) error {
	g, err := s.Guest(ctx, p.ID)
	if errors.Is(err, problemNotFound) || err == nil && g.State == GuestRefused {
		return errNoSession
	}
	p.Name, p.Identity, p.Meeting, p.Lobby = g.Name, "guest:"+g.ID, g.Meeting, g.State != GuestAdmitted
	return err
}
