// Package conference is what clients reach of meetings: their list, their
// commands, the socket with what happens, media tokens, secret ballots, the
// running record and private notes.
//
// The path of a command. It comes by POST or over the socket as {id, type, body}.
// Who asks is known from the session and never from the body (actorOf). Bodies
// that name people get their names, units and positions from the directory
// (filler). live.Hub.Apply decides it, makes it durable and tells those who
// watch. The number of its last event is the answer.
//
// After each commit the meeting's loop calls Committed, which notes what is to be
// done and returns: the index is written by one goroutine (indexer), grants of
// those in the media are set by another (permitter), keys of votes that are over
// are wiped by a third (boxes.keep). Each works off what gathered, the newest
// state of a meeting once, so that none of their queues grows with the number of
// events.
//
// A session that is over takes with it what it opened: its sockets, and, unless only
// its time was up, its places in the media (SessionsEnded, seats). What somebody sees
// by a right of the directory ends with the right (RightsChanged).
//
// A secret ballot takes another way on purpose: see BallotBox and
// docs/secret-votes.md.
//
// docs/meeting-events.md describes the socket for those who write clients.
package conference
