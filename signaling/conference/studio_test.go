package conference

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"diemcau/signaling/meeting"
)

// studio is the SFU: who is present and what each was last permitted.
type studio struct {
	mu      sync.Mutex
	present map[string]map[string]meeting.Grant // guarded by mu: by room and identity
	removed []string                            // guarded by mu
	fail    int                                 // guarded by mu: so many calls fail
	changed chan struct{}
}

func (d *studio) enter(room, identity string, g meeting.Grant) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.present[room] == nil {
		d.present[room] = map[string]meeting.Grant{}
	}
	d.present[room][identity] = g
}

func (d *studio) tell() {
	select {
	case d.changed <- struct{}{}:
	default:
	}
}

func (d *studio) Permit(_ context.Context, room, identity string, g meeting.Grant) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	defer d.tell()
	if d.fail > 0 {
		d.fail--
		return fmt.Errorf("the SFU is away")
	}
	if _, ok := d.present[room][identity]; ok {
		d.present[room][identity] = g
	}
	return nil
}

func (d *studio) Remove(_ context.Context, room, identity string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	defer d.tell()
	delete(d.present[room], identity)
	d.removed = append(d.removed, identity)
	return nil
}

func (d *studio) Present(_ context.Context, room string) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var ids []string
	for id := range d.present[room] {
		ids = append(ids, id)
	}
	return ids, nil
}

// until waits for what the SFU was told.
func (b *bench) until(what string, is func(d *studio) bool) {
	b.t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		b.studio.mu.Lock()
		ok := is(b.studio)
		b.studio.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-b.studio.changed:
		case <-deadline:
			require.FailNow(b.t, "not told", what)
		}
	}
}

func (b *bench) publishes(room, identity string, sources ...string) {
	b.t.Helper()
	b.until(fmt.Sprintf("%s publishes %v", identity, sources), func(d *studio) bool {
		g, ok := d.present[room][identity]
		return ok && slices.Equal(g.Publish, sources)
	})
}
