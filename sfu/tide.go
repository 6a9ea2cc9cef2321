package sfu

import (
	"runtime"
	"runtime/debug"
	"time"
)

// How memory goes back to the system after many have left.
const (
	tideEvery = 5 * time.Second
	leastGone = 16 // participants; what fewer leave behind is taken up by those who come
)

// tide tells when a crowd has left a node. Its participants' memory would go back to
// the system only after the runtime's next collection, and without load these are
// two minutes apart.
type tide struct {
	high int // most participants since memory was last given back
	last int
}

// ebbed is told how many participants there are, every tideEvery, and returns true
// when most of those of the high tide are gone and nobody has come or gone since it
// was told last: their transports have had time to close.
func (t *tide) ebbed(now int) bool {
	settled := now == t.last
	t.last, t.high = now, max(t.high, now)
	if !settled || t.high-now < leastGone || 2*now > t.high {
		return false
	}
	t.high = now
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
			if t.ebbed(int(n.crowd.Load())) {
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
