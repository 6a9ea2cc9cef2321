package loadtest

import (
	"context"
	"fmt"

	"github.com/livekit/protocol/auth"
	lksdk "github.com/livekit/server-sdk-go/v2"
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
