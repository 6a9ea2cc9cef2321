// Package loadtest measures a running conference server from the outside.
//
// It joins rooms as real participants do, publishes what a browser or a real
// encoder sent in real time, and keeps the books of every stream that comes
// back: what was lost after repair, what came late, how long the server had it,
// how long a viewer would have looked at a frozen picture. Together with the
// server's own figures (processor time and memory from /proc, goroutines from
// /metrics) they make the report of a scenario: text, JSON, and a page with plots.
//
// The participants of the scenarios are light (package light): hundreds of them
// leave room on one core. Those of the hall, of the tests, and of a plenary on
// demand are made of the LiveKit server SDK and Pion.
//
// The package uses public interfaces only and imports nothing of this module,
// so that the same scenarios and tests run against any LiveKit-compatible
// server.
package loadtest
