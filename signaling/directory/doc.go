// Package directory knows who and what takes part in meetings: the tree of
// units, the meeting points and users that belong to them, positions, and the
// roles that decide what a user may do in a unit and below it.
//
// A [Directory] reads and writes the shared store. Rows carry a version: an
// update names the version it was made from, and a stale one gives
// [ErrConflict]. What a role may do is a preset ([Role.Presets]), changed for a
// unit and everything below it by an [Override]; [Permits] is the pure rule
// and [Directory.Can] asks it with the stored facts.
//
// Units, points and users are exchanged with spreadsheets by their human-made
// keys (code, login): see [Directory.Import] and [Directory.Export].
// Passwords and sessions are kept elsewhere, by user id.
package directory
