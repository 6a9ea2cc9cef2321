// Package live runs meetings: it keeps each one that somebody is in as a state in
// memory, applies commands to it, and tells those who watch what they may see.
//
// The path of a command. Hub.Apply queues it at the meeting's room. The room's
// loop, one goroutine that owns the state, takes what has gathered, lets package
// meeting decide each command and evolves the state by its events. Then the events
// of all of them are appended to the journal in one call. Only when that has
// returned are the commands answered and the events sent. Should it fail, nobody
// has seen anything of them: the room is given up, with the state that ran ahead,
// and the next who asks loads the meeting from its journal.
//
// A refusal waits for the same commit, as it may be due to a command before it.
//
// # Who watches
//
// A Watcher has a bounded queue of frames. One that does not keep up is closed
// with a reason and comes back with the number of the last event it has seen;
// nobody waits for it. A frame is encoded once for all who see the same of it.
//
// Who comes is brought up to date by one goroutine of the room: with a snapshot, of
// which the loop makes the copy and the goroutine the frame; who was there before, by
// folding the journal up to where they were and filtering what follows, for all who
// wait together. Meanwhile what is new gathers in their queue. What those of one
// standing see alike of a snapshot is copied, encoded and kept in memory once (Frame,
// meeting.Shared), so that a hall that comes at the same moment costs little more
// than one who comes alone.
package live
