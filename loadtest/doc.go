// Package loadtest measures a running conference server from the outside.
//
// It joins rooms as real participants do, with the LiveKit server SDK and
// Pion, publishes a real encoder's output in real time, and keeps the books of
// every stream that comes back: what was lost after repair, what came late,
// how long a viewer would have looked at a frozen picture. Together with the
// server's own figures (processor time and memory from /proc, goroutines from
// /metrics) they make the report of a scenario.
//
// The package uses public interfaces only and imports nothing of this module,
// so that the same scenarios and tests run against any LiveKit-compatible
// server.
package loadtest
