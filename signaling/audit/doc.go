// Package audit is the log of actions: who did what, from where, on what, with
// which result, refusals included.
//
// The path of a record. [Log.Write] clips its texts and queues it. The writer,
// one goroutine, takes what has gathered and inserts it in one transaction;
// then each Write returns. So an action that is answered after its Write
// returned has its line on disk. [Log.Note] queues and does not wait, for
// callers that must not.
//
// The queue is bounded. When it is full, Write waits for a place as long as its
// context lets it; Note has no time to wait. A record that finds no place, or
// that the database refuses several times, is counted (diemcau_audit_lost_total)
// and written to the program's own log with all its fields: it is never
// dropped in silence. Only what clients without a session have written in masses is
// counted instead, and the count is a record (flood.go).
package audit
