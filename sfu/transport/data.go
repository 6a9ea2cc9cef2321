package transport

import (
	"bytes"
	"errors"
	"io"
	"sync"

	"github.com/pion/webrtc/v4"
)

// Labels of the data channels, as LiveKit clients make and expect them.
const (
	Reliable  = "_reliable"   // ordered, retransmitted
	Lossy     = "_lossy"      // unordered, no retransmits
	DataTrack = "_data_track" // unordered, no retransmits
)

// Bounds of what waits for a receiver.
const (
	maxReliableBuffer = 8 << 20 // bytes; a receiver further behind is too slow
	maxLossyBuffer    = 256 << 10
	maxEarly          = 1 << 20 // bytes of reliable messages kept until the channel opens; the oldest go
	maxRefused        = 16      // channels beyond those we know that a peer may try to open
)

// Read buffer of a channel, in bytes. Most channels stay silent; one that is sent a
// longer message grows its buffer, up to maxMessageSize, and shrinks it again.
const (
	readBuffer    = 1 << 10
	maxIdleBuffer = 16 << 10
)

// ErrSlow says that the receiver does not keep up with reliable data.
var ErrSlow = errors.New("transport: receiver of reliable data too slow")

type channels struct {
	t *Transport

	mu         sync.Mutex
	byLabel    map[string]*webrtc.DataChannel
	early      [][]byte
	earlyBytes int
	refused    int
	closed     bool // no reader starts any more
}

func (c *channels) init(t *Transport) {
	c.t = t
	c.byLabel = make(map[string]*webrtc.DataChannel)
}

func (c *channels) create(pc *webrtc.PeerConnection) error {
	ordered, unordered, none := true, false, uint16(0)
	for label, init := range map[string]*webrtc.DataChannelInit{
		Reliable:  {Ordered: &ordered},
		Lossy:     {Ordered: &unordered, MaxRetransmits: &none},
		DataTrack: {Ordered: &unordered, MaxRetransmits: &none},
	} {
		dc, err := pc.CreateDataChannel(label, init)
		if err != nil {
			return err
		}
		c.attach(dc)
	}
	return nil
}

// offered takes a channel of the client's into use: one of each label that
// clients make, and only where the channels are theirs to make.
func (c *channels) offered(dc *webrtc.DataChannel) {
	label := dc.Label()
	c.mu.Lock()
	old := c.byLabel[label]
	known := label == Reliable || label == Lossy || label == DataTrack
	taken := old != nil && old.ReadyState() < webrtc.DataChannelStateClosing
	if !known || taken || c.t.offers {
		c.refused++
		tooMany := c.refused > maxRefused
		c.mu.Unlock()
		c.t.log.Info("data channel refused", "label", label)
		_ = dc.Close()
		if tooMany {
			c.t.abuse("data channels")
		}
		return
	}
	c.mu.Unlock()
	c.attach(dc)
}

func (c *channels) attach(dc *webrtc.DataChannel) {
	label := dc.Label()
	c.mu.Lock()
	c.byLabel[label] = dc
	c.mu.Unlock()
	dc.OnOpen(func() {
		raw, err := dc.Detach()
		if err != nil {
			c.t.log.Warn("data channel cannot be read", "label", label, "err", err)
			return
		}
		c.mu.Lock()
		if !c.closed {
			c.t.wg.Add(1) // run still counts, so nobody has finished waiting
			go func() {
				defer c.t.wg.Done()
				err := c.read(label, raw)
				c.t.log.Debug("data channel ended", "label", label, "err", err)
				_ = dc.Close() // it may be opened anew
			}()
		}
		c.mu.Unlock()
		if label == Reliable {
			c.flush(dc)
		}
	})
}

// close has no more readers start; those that run end with the association.
func (c *channels) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
}

// messages is what read needs of an open channel. A message that does not fit into
// the buffer is io.ErrShortBuffer, and may be read again.
type messages interface {
	ReadDataChannel(buf []byte) (n int, text bool, err error)
}

// read hands on the messages of a channel until it ends, or brings one longer than
// maxMessageSize.
func (c *channels) read(label string, raw messages) error {
	buf := make([]byte, readBuffer)
	for {
		n, _, err := raw.ReadDataChannel(buf)
		switch {
		case errors.Is(err, io.ErrShortBuffer) && len(buf) < maxMessageSize:
			buf = make([]byte, 2*len(buf))
		case err != nil:
			return err
		case len(buf) > maxIdleBuffer:
			c.t.ev.Data(label, buf[:n:n])
			buf = make([]byte, readBuffer)
		default:
			c.t.ev.Data(label, bytes.Clone(buf[:n]))
		}
	}
}

func (c *channels) flush(dc *webrtc.DataChannel) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.early {
		_ = dc.Send(m)
	}
	c.early, c.earlyBytes = nil, 0
}

// SendData sends one message on a channel without blocking. Reliable messages
// sent before the channel is open wait for it. It returns ErrSlow when a
// receiver of reliable data is too far behind; late lossy data is dropped.
func (t *Transport) SendData(label string, msg []byte) error {
	c := &t.data
	c.mu.Lock()
	defer c.mu.Unlock()
	dc := c.byLabel[label]
	if dc == nil || dc.ReadyState() != webrtc.DataChannelStateOpen || (label == Reliable && len(c.early) > 0) {
		if label != Reliable {
			return nil
		}
		c.early = append(c.early, msg)
		c.earlyBytes += len(msg)
		for c.earlyBytes > maxEarly {
			c.earlyBytes -= len(c.early[0])
			c.early = c.early[1:]
		}
		return nil
	}
	if label == Reliable {
		if dc.BufferedAmount() > maxReliableBuffer {
			return ErrSlow
		}
	} else if dc.BufferedAmount() > maxLossyBuffer {
		return nil
	}
	return dc.Send(msg)
}
