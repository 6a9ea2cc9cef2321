package fanout

// Scratch is memory for the member whose turn it is. What is in it does not outlast
// the call by the worker.
type Scratch struct {
	Packet Packet          // one read again from its ring
	Read   [maxPacket]byte // its bytes
	Made   [maxPacket]byte // of one made from it, or from nothing
	Sound  [maxPacket]byte // a payload of sound
}

// Scratch is the worker's. Use it on the worker's goroutine.
func (w *Worker) Scratch() *Scratch { return &w.scratch }
