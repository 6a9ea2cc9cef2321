// Package meeting is the meeting itself (phiên họp) as a pure state machine:
// people and their delegations, agenda and clocks, attendance and quorum,
// speaking and questioning, calling a point, votes, conclusions.
//
//	Decide(state, command, now)  ->  events    never changes the state
//	(the caller makes the events durable)
//	Evolve(state, event, at)                   changes the state it owns
//
// A state is always the fold of its events: the same events at the same times
// give the same state, byte for byte as JSON. There is no clock, no goroutine
// and no randomness in here. Ids of things made in a meeting are a letter and
// the sequence number of the event that made them ("i17" is an agenda item,
// "r20" a request to speak, "v31" a vote), so they need no source of their own.
//
// # Commands are applied once
//
// The client makes a command's id. The state remembers the last 32 ids of each
// author, with the sequence number of the last event each led to, and Decide
// answers a command it has seen with the problem "already_applied" carrying that
// number, which the caller sends as the acknowledgement. An id that comes again
// with another content is refused with "id_reused". The memory is per
// author, so nobody can use up or guess another's ids; a client may have at most
// 32 commands under way. The one command without an author, a cast secret
// ballot, needs no memory: casting the same token again replaces.
//
// # Who sees what
//
// Visible filters one event for one viewer and Snapshot a whole state. Folding
// what Visible lets through gives the snapshot; where a viewer's own standing
// changes (invited, another role, admitted from the lobby, meeting approved)
// Renew says that a fresh snapshot must be sent instead.
//
// # What is not here
//
// Private notes are not in the journal: they concern nobody but their author,
// have no order among the others' events, and must be erasable, which an
// append-only chain is not. They belong into a table of their own keyed by
// author. Tokens of secret ballots are verified by the caller; see BallotCast.
package meeting
