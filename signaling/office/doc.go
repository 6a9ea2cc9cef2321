// Package office puts together what a signalling process needs of people and
// meetings: the store, the journal with its signed heads, the directory, signing
// in, the audit log, the meetings and their API. It also holds what the commands
// of the program do with a data directory, so that main parses flags only.
//
// [Open] starts from the bottom up and [Office.Close] ends in the opposite order:
// first who asks (sockets, ballots that are held), then the meetings, then the
// audit log, then the journal, whose last entries are signed before the heads
// file and the store are closed. What was acknowledged is on disk at every
// moment; the order only lets what is under way finish.
//
// Whatever changes the directory has those looked at anew who are signed in and
// connected (rights); a guest who leaves, or is sent away in one place, is gone in
// both (lobby).
//
// Files in the data directory: account.key (sealed secrets of signing in),
// ballot.key (sealed keys of open secret votes), journal.key, journal.pub and
// journal.heads. A backup of the database holds none of them.
package office
