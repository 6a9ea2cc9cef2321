package conference

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"diemcau/signaling/account"
	"diemcau/signaling/meeting"
)

func (c *client) signOut() {
	c.b.t.Helper()
	c.into(http.StatusOK, nil, "DELETE", "/api/v1/session", nil)
}

func (c *client) sessionID() string {
	c.b.t.Helper()
	var s struct{ SessionID string }
	c.into(http.StatusOK, &s, "GET", "/api/v1/session", nil)
	return s.SessionID
}

// sit joins the media with a device.
func (c *client) sit(id, device string) string {
	c.b.t.Helper()
	var t ticket
	c.into(http.StatusOK, &t, "POST", path(id, "/join"), m{"device": device})
	c.b.studio.enter(id, t.Identity, t.Grant)
	return t.Identity
}

func (b *bench) admits(id, identity string) bool {
	b.t.Helper()
	g, ours, err := b.s.Admit(b.t.Context(), id, identity)
	require.NoError(b.t, err)
	require.True(b.t, ours)
	return g.Join
}

func (b *bench) goes(id, identity string) {
	b.t.Helper()
	b.until(identity+" goes", func(d *studio) bool { _, there := d.present[id][identity]; return !there })
}

func (b *bench) stays(id, identity string) {
	b.t.Helper()
	b.studio.mu.Lock()
	defer b.studio.mu.Unlock()
	require.Contains(b.t, b.studio.present[id], identity)
	require.NotContains(b.t, b.studio.removed, identity)
}

// Whoever is signed out, a thief of a session or somebody who was disabled, hears and
// sees no more, and does not come back with the token of before.
func TestSignedOutGoesFromTheMedia(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		c := b.populate()
		id := c.meet(m{"id": "user:d02", "role": "delegate", "voting": true})
		mine, other, chair := c.of("d01").sit(id, "dien-thoai"), c.of("d02").sit(id, "may-ban"), c.chair.sit(id, "may-ban")
		require.True(t, b.admits(id, mine))
		require.NoError(t, b.accounts.EndSessions(t.Context(), "d01"))
		b.goes(id, mine)
		require.False(t, b.admits(id, mine))
		// By a session of theirs they take the seat again.
		again := b.user("d01")
		again.sit(id, "dien-thoai")
		require.True(t, b.admits(id, mine))
		b.stays(id, other)
		require.True(t, b.admits(id, other))

		// Whose time is up stays until the connection ends.
		b.s.SessionsEnded([]account.Over{{Session: c.of("d02").sessionID(), Who: "user:d02", Expired: true}})
		require.True(t, b.admits(id, other))

		// Another session of the same person is not concerned.
		b.s.SessionsEnded([]account.Over{{Session: "another", Who: "user:d02"}})
		b.looked(id)
		b.stays(id, other)

		// After a restart it is not known by which session somebody came.
		b.restart()
		b.looked(id)
		require.True(t, b.admits(id, other))
		c.of("d02").signOut()
		b.goes(id, other)
		require.False(t, b.admits(id, other))
		b.stays(id, chair)
		require.True(t, b.admits(id, chair))

		b.wait(barFor)
		require.True(t, b.admits(id, other), "by then the tokens of before are over")
	})
}

// looked has the grants of all present looked at. When a second look has begun, the
// first was done with everybody.
func (b *bench) looked(id string) {
	b.t.Helper()
	for range 2 {
		one := fmt.Sprintf("user:sec#%d", b.n.Add(1))
		b.studio.enter(id, one, meeting.Grant{})
		b.s.permits.note(id)
		b.until("grants set", func(d *studio) bool { return d.present[id][one].Join })
	}
}

// A request that was authenticated the moment before its session ended leaves nothing
// open.
func TestNothingIsOpenedByASessionThatEnded(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		c := b.populate()
		id := c.meet()
		b.s.SessionsEnded([]account.Over{{Session: c.of("d01").sessionID(), Who: "user:d01"}})
		c.of("d01").open(id, "").closed(closeSignedOut)
		c.of("d01").refused(http.StatusUnauthorized, "not_signed_in", "POST", path(id, "/join"), m{"device": "a"})
		other := c.chair.open(id, "")
		other.next("snapshot")
	})
}

func TestEndingsAreBounded(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	e := newEndings(func() time.Time { return now })
	for i := range 3 * maxEnded {
		e.add([]account.Over{{Session: fmt.Sprint(i)}})
	}
	require.LessOrEqual(t, len(e.young)+len(e.old), 2*maxEnded)
	require.True(t, e.has(fmt.Sprint(3*maxEnded-1)))
	require.False(t, e.has("0"))
	now = now.Add(endedKnown)
	e.add([]account.Over{{Session: "a"}})
	require.True(t, e.has(fmt.Sprint(3*maxEnded-1)), "for at least a minute")
	now = now.Add(endedKnown)
	e.add([]account.Over{{Session: "b"}})
	require.True(t, e.has("a"))
	require.False(t, e.has(fmt.Sprint(3*maxEnded-1)))
}

func TestSeatsAreBounded(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	clock := func() time.Time { return now }
	a := newSeats(newEndings(clock), clock)
	for i := range 100 {
		require.True(t, a.take("one", seat{"room", fmt.Sprint("user:a#", i)}))
	}
	require.Len(t, a.places["one"], maxPlaces)
	require.Len(t, a.owner, maxPlaces)
	for i := range maxSeats + 100 {
		require.True(t, a.take(fmt.Sprint(i), seat{"room", fmt.Sprint("user:", i)}))
	}
	require.LessOrEqual(t, len(a.owner), maxSeats)
	n := 0
	for _, places := range a.places {
		n += len(places)
	}
	require.Equal(t, len(a.owner), n)
	for i := range maxSeats + 100 {
		a.leave(account.Over{Session: fmt.Sprint(i), Who: fmt.Sprint("user:", i)})
	}
	for at, session := range a.owner {
		require.Equal(t, "one", session, at)
	}
	require.LessOrEqual(t, len(a.barred), maxSeats)
	require.LessOrEqual(t, len(a.leavers()), maxSeats)
	require.Empty(t, a.leavers())
}

// pipes is a listener of connections that keep nothing on the way: what one side does
// not read, the other cannot finish writing.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	conn, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}
func (pipes) Close() error   { return nil }
func (pipes) Addr() net.Addr { return &net.TCPAddr{} }

// A client that reads nothing holds the server's goodbye up. What it sends meanwhile,
// signed out, must not be done.
func TestCommandsAfterTheEndOfTheSession(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		c := b.populate()
		id := c.meet()
		c.chair.give(id, "chat.set", m{"mode": "all"})
		listener := make(pipes, 1)
		server := &http.Server{Handler: b.server.Config.Handler, ReadHeaderTimeout: time.Minute}
		served := make(chan error, 1)
		go func() { served <- server.Serve(listener) }()
		dialer := websocket.Dialer{Jar: c.of("d01").http.Jar, NetDialContext: func(context.Context, string, string) (net.Conn, error) {
			near, far := net.Pipe()
			listener <- far
			return near, nil
		}}
		conn, answer, err := dialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(b.server.URL, "http")+socketPath+id, nil)
		require.NoError(t, err)
		answer.Body.Close()
		p := &peer{b: b, conn: conn}
		p.next("snapshot")
		p.send(m{"id": "before", "type": "chat.send", "body": m{"text": "còn đăng nhập"}})
		p.next("ack")
		c.of("d01").signOut()
		b.wait(time.Minute) // chat has a limit of its own
		p.send(m{"id": "after", "type": "chat.send", "body": m{"text": "đã đăng xuất"}})
		p.closed(closeSignedOut)
		conn.Close()
		b.s.sockets.running.Wait()
		require.NoError(t, b.hub.Look(t.Context(), id, func(st *meeting.State) {
			require.Len(t, st.Chat, 1)
			require.Equal(t, "còn đăng nhập", st.Chat[0].Text)
		}))
		close(listener)
		<-served
	})
}

// A right of the directory that is taken away ends what was seen by it.
func TestRightsChanged(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		c := b.populate()
		id := c.meet()
		office, member := c.office.open(id, ""), c.of("d01").open(id, "")
		office.next("snapshot")
		member.next("snapshot")
		require.NoError(t, b.s.RightsChanged(t.Context()))
		b.town.may("user:d01", "hdnd", meeting.PermAssign)
		b.town.may("user:office", "hdnd", meeting.PermPrepare, meeting.PermApprove, meeting.PermOperate)
		require.NoError(t, b.s.RightsChanged(t.Context()), "who gained some goes on")
		c.chair.give(id, "chat.set", m{"mode": "all"})
		office.event("chat.mode")
		b.town.may("user:office", "hdnd", meeting.PermApprove)
		require.NoError(t, b.s.RightsChanged(t.Context()))
		office.closed(closeReload)
		c.office.open(id, "").next("snapshot") // by what is left
		b.town.may("user:office", "hdnd")
		require.NoError(t, b.s.RightsChanged(t.Context()))
		c.office.open(id, "").closed(closeNotFound)
		c.chair.give(id, "chat.set", m{"mode": "off"})
		member.event("chat.mode")
		member.event("chat.mode")
	})
}
