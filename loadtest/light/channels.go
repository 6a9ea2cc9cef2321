package light

import (
	"net"
	"sync"

	"github.com/pion/datachannel"
	"github.com/pion/sctp"
)

const (
	sctpMTU   = 1228 // bytes; what pion/webrtc sends at most
	dataBytes = 1 << 16
)

// channels is the SCTP association with the data channels that a LiveKit client has.
// What comes on them is read and thrown away.
type channels struct {
	conn   net.Conn
	client bool // of DTLS: even stream numbers, RFC 8832 section 6
	opens  bool // the channels are ours to make

	mu    sync.Mutex
	assoc *sctp.Association // guarded by mu
	ended bool              // guarded by mu
	wg    sync.WaitGroup
}

func newChannels(conn net.Conn, client, opens bool) *channels {
	return &channels{conn: conn, client: client, opens: opens}
}

// run serves the association until it ends. A server without data channels is none to
// complain of: media does not need them.
func (c *channels) run() {
	assoc, err := sctp.ClientWithOptions(sctp.WithNetConn(c.conn), sctp.WithMTU(sctpMTU), sctp.WithLoggerFactory(quiet))
	if err != nil {
		return
	}
	c.mu.Lock()
	c.assoc = assoc
	ended := c.ended
	c.mu.Unlock()
	if ended {
		assoc.Abort("")
		return
	}
	if c.opens {
		c.open(assoc)
	}
	for {
		channel, err := datachannel.Accept(assoc, &datachannel.Config{LoggerFactory: quiet})
		if err != nil {
			break
		}
		c.wg.Go(func() { discard(channel) })
	}
	c.wg.Wait()
}

// open makes the channels that stock clients make.
func (c *channels) open(assoc *sctp.Association) {
	id := uint16(1)
	if c.client {
		id = 0
	}
	for _, config := range []datachannel.Config{
		{Label: "_reliable", ChannelType: datachannel.ChannelTypeReliable},
		{Label: "_lossy", ChannelType: datachannel.ChannelTypePartialReliableRexmitUnordered},
		{Label: "_data_track", ChannelType: datachannel.ChannelTypePartialReliableRexmitUnordered},
	} {
		config.LoggerFactory = quiet
		channel, err := datachannel.Dial(assoc, id, &config)
		if err != nil {
			return
		}
		id += 2
		c.wg.Go(func() { discard(channel) })
	}
}

// scratch are the buffers of the readers: a channel that is silent, as most are, needs
// none of its own size.
const scratchBytes = 1 << 10

// discard reads a channel until it ends. Messages that do not fit in are cut off, which
// an error tells that is not one here.
func discard(channel *datachannel.DataChannel) {
	buffer := make([]byte, scratchBytes)
	for {
		if _, _, err := channel.ReadDataChannel(buffer); err != nil && len(buffer) == dataBytes {
			return
		} else if err != nil {
			buffer = make([]byte, dataBytes)
		}
	}
}

// close ends the association.
func (c *channels) close() {
	c.mu.Lock()
	c.ended = true
	assoc := c.assoc
	c.mu.Unlock()
	if assoc != nil {
		assoc.Abort("")
	}
}
