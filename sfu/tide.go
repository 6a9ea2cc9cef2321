package sfu

import (
	"runtime"
	"runtime/debug"
	"time"
)

// How memory goes back to the system after many have come or left.
const (
	tideEvery = 5 * time.Second
	leastTurn = 16 // participants; what fewer leave behind is taken up by those who come
)

// tide tells when a crowd has come to a node or left it. Those who leave give their
// memory back, and those who come what their joining took, only after the runtime's
// next collection, and between joins these are up to two minutes apart.
type tide struct {
	high, low int // most and fewest participants since memory was last given back
	last      int
}

// turned is told how many participants there are, every tideEvery, and returns true
// when most of those of the high tide are gone, or many more have come, and nobody has
// come or gone since it was told last: transports have had time to close or to open.
func (t *tide) turned(now int) bool {
	settled := now == t.last
	t.last, t.high, t.low = now, max(t.high, now), min(t.low, now)
	ebbed := t.high-now >= leastTurn && 2*now <= t.high
	flooded := now-t.low >= max(leastTurn, t.low/2)
	if !settled || !ebbed && !flooded {
		return false
	}
	t.high, t.low = now, now
	return true
}

// followTide gives memory back after the tide; it ends with the node.
func (n *Node) followTide() {
	defer n.wg.Done()
	every := time.NewTicker(tideEvery)
	defer every.Stop()
	var t tide
	for {
		select {
		case <-every.C:
			if t.turned(int(n.crowd.Load())) {
				giveBack()
			}
		case <-n.done:
			return
		}
	}
}

// giveBack returns unused memory to the system. It takes two collections: the first
// only sets aside what is in a sync.Pool, as the read buffers of ICE are.
func giveBack() {
	runtime.GC()
	debug.FreeOSMemory()
}
