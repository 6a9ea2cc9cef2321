package office

import (
	"context"
	"encoding/json"
	"errors"
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
		settled, ok := e.Body.(*meeting.LobbySettled)
		if !ok || e.By == settled.Guest || e.By == lobbyService {
			continue // who left, and what came from here
		}
		id, by, admitted := strings.TrimPrefix(settled.Guest, "guest:"), e.By, settled.Admitted
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
	guest := "guest:" + g.ID
	desk := meeting.Actor{ID: lobbyService, Permissions: meeting.Permissions(meeting.PermOperate, meeting.PermPrepare)}
	l.later(func(ctx context.Context) error {
		switch g.State {
		case account.GuestAdmitted, account.GuestRefused:
			err := l.apply(ctx, g.Meeting, desk, "lobby.settle", meeting.SettleLobby{Guest: guest, Admit: g.State == account.GuestAdmitted})
			var refused *meeting.Problem
			if g.State == account.GuestRefused && errors.As(err, &refused) {
				// Let in before, and now sent away.
				return l.apply(ctx, g.Meeting, desk, "person.remove", meeting.RemovePerson{PersonCommand: meeting.PersonCommand{Person: guest}})
			}
			return err
		default:
			return l.apply(ctx, g.Meeting, meeting.Actor{ID: guest, Name: g.Name}, "lobby.enter", meeting.EnterLobby{Name: g.Name})
		}
	})
}

func (l *lobby) apply(ctx context.Context, id string, by meeting.Actor, kind string, body any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	_, err = l.hub.Apply(ctx, id, meeting.Command{ID: uuid.NewString(), Type: kind, Actor: by, Body: raw})
	return err
}
