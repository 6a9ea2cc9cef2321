package office

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"

	"diemcau/signaling/account"
	"diemcau/signaling/live"
	"diemcau/signaling/meeting"
)

// A guest waits in two places: the sign-in package knows whether the session is
// admitted, the meeting shows its desk who waits. lobby keeps them the same,
// whichever was told first: each change of one is done at the other, where it has
// been done already or cannot be any more that is no error. A change that is lost
// at a crash shows as a guest who still waits in one of the two, and is decided there
// again.
type lobby struct {
	hub      *live.Hub
	accounts *account.Service
	log      *slog.Logger

	queue chan func(ctx context.Context) error
	quit  chan struct{}
	ended chan struct{}
}

const (
	lobbyQueue    = 1024
	lobbyPatience = 10 * time.Second
	lobbyService  = "svc:lobby"
	guestPrefix   = "guest:"
)

func newLobby(log *slog.Logger) *lobby {
	return &lobby{log: log, queue: make(chan func(context.Context) error, lobbyQueue), quit: make(chan struct{}), ended: make(chan struct{})}
}

// start begins to work off the queue, until close.
func (l *lobby) start(hub *live.Hub, accounts *account.Service) {
	l.hub, l.accounts = hub, accounts
	go func() {
		defer close(l.ended)
		for {
			select {
			case <-l.quit:
				return
			case change := <-l.queue:
				l.do(change)
			}
		}
	}()
}

func (l *lobby) close() {
	close(l.quit)
	<-l.ended
}

func (l *lobby) do(change func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), lobbyPatience)
	defer cancel()
	err := change(ctx)
	var refused *meeting.Problem
	var decided *account.Problem
	if err != nil && !errors.As(err, &refused) && !errors.As(err, &decided) && !errors.Is(err, live.ErrNoMeeting) {
		l.log.Warn("a guest of a lobby was decided in one place only", "error", err)
	}
}

// later queues a change; the callers must not wait.
func (l *lobby) later(change func(ctx context.Context) error) {
	select {
	case l.queue <- change:
	default:
		l.log.Error("too many changes of lobbies at a time; a guest may have to be decided again")
	}
}

// committed does at the sign-in package what a meeting's desk decided.
func (l *lobby) committed(events []meeting.Event) {
	for _, e := range events {
		var guest string
		admitted := false
		switch b := e.Body.(type) {
		case *meeting.LobbySettled:
			guest, admitted = b.Guest, b.Admitted
		case *meeting.PersonRemoved:
			guest = b.Person
		}
		id, ok := strings.CutPrefix(guest, guestPrefix)
		if !ok || e.By == guest || e.By == lobbyService {
			continue // who left, and what came from here
		}
		by := e.By
		l.later(func(ctx context.Context) error {
			if admitted {
				_, err := l.accounts.Admit(ctx, id, by)
				return err
			}
			_, err := l.accounts.Refuse(ctx, id, by)
			return err
		})
	}
}

// changed does at the meeting what happened at the sign-in package.
func (l *lobby) changed(g account.Guest) {
	guest := guestPrefix + g.ID
	desk := meeting.Actor{ID: lobbyService, Permissions: meeting.Permissions(meeting.PermOperate, meeting.PermPrepare)}
	l.later(func(ctx context.Context) error {
		switch g.State {
		case account.GuestAdmitted, account.GuestRefused:
			err := l.apply(ctx, g.Meeting, desk, "lobby.settle", meeting.SettleLobby{Guest: guest, Admit: g.State == account.GuestAdmitted})
			var refused *meeting.Problem
			if g.State == account.GuestRefused && errors.As(err, &refused) {
				// Let in before, and now sent away. Once the session runs there must be a note.
				err = l.apply(ctx, g.Meeting, desk, "person.remove",
					meeting.RemovePerson{PersonCommand: meeting.PersonCommand{Person: guest, Note: "Khách được mời ra khỏi phiên họp"}})
				if errors.As(err, &refused) && refused.Code != "not_found" {
					return fmt.Errorf("a guest who was sent away stays in the list of people: %s", refused.Code) // to be logged
				}
			}
			return err
		default:
			return l.apply(ctx, g.Meeting, meeting.Actor{ID: guest, Name: g.Name}, "lobby.enter", meeting.EnterLobby{Name: g.Name})
		}
	})
}

// left has the guests leave the lobby whose session is over: who signed out, came
// anew by the link, or waited too long. Nobody could be let in any more, and the
// lobby of a meeting is not endless.
func (l *lobby) left(over []account.Over) {
	for _, o := range over {
		id, ok := strings.CutPrefix(o.Who, guestPrefix)
		if !ok {
			continue
		}
		l.later(func(ctx context.Context) error {
			g, err := l.accounts.Guest(ctx, id)
			if err != nil || g.State != account.GuestLobby {
				return err
			}
			return l.apply(ctx, g.Meeting, meeting.Actor{ID: lobbyService}, "lobby.leave", meeting.LeaveLobby{Guest: o.Who})
		})
	}
}

func (l *lobby) apply(ctx context.Context, id string, by meeting.Actor, kind string, body any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	_, err = l.hub.Apply(ctx, id, meeting.Command{ID: uuid.NewString(), Type: kind, Actor: by, Body: raw})
	return err
}
