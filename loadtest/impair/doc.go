// Package impair is a network laboratory: it puts a real process behind a bad
// network on one machine.
//
// A Lab is a network namespace joined to the machine by one or more links. A
// link is a pair of TUN devices, one on each side, with a relay of ours between
// them that delays, drops, queues and reorders packets as a Spec says, each
// direction for itself and changing over time:
//
//	       the machine                        the namespace
//	server --- imp7 ===[ relay: both pipes ]=== eth0 --- client
//	       10.201.7.1                           10.201.7.2
//
// Nothing has a name outside this process but the device on the machine, and
// that goes with the process: a Lab that is killed leaves nothing behind.
//
// A packet passes its direction's pipe in this order: filter (block), blackout,
// burst loss, Gilbert-Elliott loss, random loss, rate with a tail-drop queue,
// delay and jitter, reordering. All sizes are those of IP packets.
//
// The relay of a link is one thread that sleeps until the next packet is due
// (ppoll, nanoseconds), at real-time priority where that is permitted, so that
// its timing does not depend on how busy the machine is.
//
// A specification is YAML or JSON; every key is a field of Spec, Link, Phase or
// Impairment:
//
//	seed: 1
//	phases:                # of the only link; with more: links: [{name: wifi, phases: [...]}, ...]
//	  - {name: wide, for: 20s, down: {rate: 2Mbps, queue: 300ms}}
//	  - {name: narrow, for: 20s, down: {rate: 600kbps}, up: {delay: 20ms, jitter: 5ms}}
//	  - name: lossy        # the last phase stays
//	    both: {loss: 5%, burst: {every: 5s, for: 300ms}, reorder: 1%, reorder_by: 10ms, block: ["udp:7882"]}
//
// A Lab needs Linux, root and iproute2. From the command line it is
// `diemcau loadtest impair`.
package impair
