package transport

import (
	"sync"
	"time"

	"github.com/pion/transport/v4"
	"github.com/pion/transport/v4/stdnet"
)

// interfacesFor is how long a list of the machine's interfaces is taken for true.
const interfacesFor = time.Second

// interfaces is the network as ICE agents see it. An agent by itself asks the kernel
// for all interfaces and keeps the answer for as long as it lives.
type interfaces struct {
	*stdnet.Net

	mu   sync.Mutex
	list []*transport.Interface // guarded by mu
	at   time.Time              // of list; guarded by mu
}

// Interfaces lists the interfaces of the machine and their addresses.
func (n *interfaces) Interfaces() ([]*transport.Interface, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.list != nil && time.Since(n.at) < interfacesFor {
		return n.list, nil
	}
	now, err := stdnet.NewNet()
	if err != nil {
		return nil, err
	}
	n.list, err = now.Interfaces()
	n.at = time.Now()
	return n.list, err
}
