package loadtest

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/livekit/protocol/auth"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"golang.org/x/sync/errgroup"
)

// Options are what every scenario is told.
type Options struct {
	// URL is the server, http(s) or ws(s); Key and Secret are its API key.
	URL, Key, Secret string
	// Room is the room to fill. It must not be in use.
	Room string
	// JoinParallel is how many join at the same time.
	JoinParallel int
	// ClipDir is where encoded pictures and sounds are kept and, if they are there,
	// found.
	ClipDir string
	// AllowRemote permits a server on another machine.
	AllowRemote bool
	// Progress is called about once a second with a line for the operator, from
	// several goroutines; may be nil.
	Progress func(line string)

	line *progressLine // of the command
}

// check refuses a server on another machine unless that is permitted.
func (o *Options) check(ctx context.Context) error {
	if o.AllowRemote {
		return nil
	}
	if err := CheckLocal(ctx, o.URL); err != nil {
		return fmt.Errorf("refused: %w; use --allow-remote if you mean it", err)
	}
	return nil
}

func (o *Options) progress(format string, args ...any) {
	if o.Progress != nil {
		o.Progress(fmt.Sprintf(format, args...))
	}
}

// joinAll calls join for 0 to n-1, JoinParallel of them at the same time, and tells the
// operator how many of the n have done what. The first error ends it.
func (o *Options) joinAll(ctx context.Context, n int, what string, join func(ctx context.Context, i int) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(max(1, o.JoinParallel))
	var done atomic.Int64
	for i := range n {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := join(ctx, i); err != nil {
				return err
			}
			o.progress("%d of %d %s", done.Add(1), n, what)
			return nil
		})
	}
	return g.Wait()
}

// join enters the room as identity. It waits no longer than ctx and 20 s.
func (o *Options) join(ctx context.Context, identity string, cb *lksdk.RoomCallback, options ...lksdk.ConnectOption) (*lksdk.Room, error) {
	token, err := auth.NewAccessToken(o.Key, o.Secret).SetIdentity(identity).SetName(identity).
		SetVideoGrant(&auth.VideoGrant{RoomJoin: true, Room: o.Room}).ToJWT()
	if err != nil {
		return nil, err
	}
	room := lksdk.NewRoom(cb)
	options = append(options, lksdk.WithConnectTimeout(joinTimeout))
	if err := room.JoinWithContextAndToken(ctx, o.URL, token, options...); err != nil {
		return nil, err
	}
	return room, nil
}
