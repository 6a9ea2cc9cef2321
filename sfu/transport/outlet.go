package transport

import (
	"net/netip"
	"sync"
	"sync/atomic"

	"diemcau/sfu/egress"
	"diemcau/sfu/seal"
)

// outlet is a peer connection's part outside of Pion: what is sent to the peer is
// sealed with its keys and goes the way that ICE has chosen, and the peer's media
// and reports are taken where they come in.
type outlet struct {
	keys  keys
	paths *paths

	report    func([]byte)
	receiving *receiving    // nil: no media is taken
	taken     atomic.Uint64 // RTCP packets
	received  atomic.Uint64 // media packets taken

	mu     sync.Mutex
	out    *egress.Outlet // guarded by mu
	closed bool           // guarded by mu

	openMu sync.Mutex
	opener *seal.Opener // guarded by openMu; nil before the first packet
	opened []byte       // a report; guarded by openMu
}

// Outlet is the way out to the peer for one worker's shard, made once, when the
// connection is secured. It is nil before, where this side was the DTLS client, and
// without sockets of our own: then everything goes through the peer connection.
func (t *Transport) Outlet(shard *egress.Shard) *egress.Outlet {
	o := t.outlet
	if o == nil {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.out != nil || o.closed {
		return o.out
	}
	k := o.keys.take()
	if k == nil {
		return nil
	}
	sealer, err := seal.NewSealer(*k)
	if err != nil {
		t.log.Warn("SRTP keys unusable; media goes through the peer connection", "err", err)
		return nil
	}
	o.out = shard.NewOutlet(sealer, &o.paths.route, t.log)
	return o.out
}

// MediaTaken counts the media packets of the peer's that did not go through the peer
// connection.
func (t *Transport) MediaTaken() uint64 {
	if t.outlet == nil {
		return 0
	}
	return t.outlet.received.Load()
}

// ReportsTaken counts the RTCP packets of the peer's that did not go through the
// peer connection.
func (t *Transport) ReportsTaken() uint64 {
	if t.outlet == nil {
		return 0
	}
	return t.outlet.taken.Load()
}

func (o *outlet) close() {
	if o == nil {
		return
	}
	o.paths.close()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	if o.out != nil {
		o.out.Close()
	}
}

// peers finds the outlet of a peer by its address, so that what it sends can be taken
// by the reader of the socket, without waking anybody else.
type peers struct {
	mu     sync.RWMutex
	byAddr map[netip.AddrPort]*outlet // guarded by mu
}

// move says that o's peer is at another address now.
func (p *peers) move(o *outlet, from, to *egress.Route) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if from != nil && p.byAddr[from.To] == o {
		delete(p.byAddr, from.To)
	}
	if to != nil && to.Socket != nil {
		if p.byAddr == nil {
			p.byAddr = make(map[netip.AddrPort]*outlet)
		}
		p.byAddr[to.To] = o
	}
}

// tap takes a datagram if it is media of a peer or RTCP, or nobody's.
func (p *peers) tap(b []byte, from netip.AddrPort) bool {
	if !isRTCP(b) && !isRTP(b) {
		return checksRTCP(b)
	}
	p.mu.RLock()
	o := p.byAddr[from]
	p.mu.RUnlock()
	return o != nil && o.take(b)
}

// reports takes an SRTCP packet. Once the keys are known it takes all of them, also what turns
// out to be forged or a replay: the peer connection has not seen their indices.
func (o *outlet) reports(b []byte) bool {
	if !isRTCP(b) {
		return false
	}
	o.openMu.Lock()
	defer o.openMu.Unlock()
	if !o.openLocked() {
		return false
	}
	if o.opened == nil {
		o.opened = make([]byte, 0, receiveMTU)
	}
	if pkt, err := o.opener.OpenRTCP(o.opened, b); err == nil {
		o.taken.Add(1)
		o.report(pkt)
	}
	return true
}

// openLocked makes the opener; false if there can be none, or not yet.
func (o *outlet) openLocked() bool {
	if o.opener != nil {
		return true
	}
	k := o.keys.take()
	if k == nil {
		return false
	}
	var err error
	o.opener, err = seal.NewOpener(*k)
	return err == nil
}
