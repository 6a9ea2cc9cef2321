// Package account signs people, room devices and guests in, and knows who makes a
// request.
//
// A sign-in, from the socket: Handler.Authenticate refuses what another site had
// the browser send and finds the present session; postSession reads the body;
// Service.signIn counts the attempt as failed, checks the password in one of a few
// hashing slots, asks for the one-time code, starts a session in place of the
// present one and clears the count; the cookie goes back. From then on
// Authenticate puts a Principal into each request's context, and Require stops
// those without one.
//
// # Sessions
//
// A session is a row of the store; the cookie is 32 random bytes of which the
// store has the SHA-256 only. The CSRF token follows from the cookie's value, so
// the store does not have it either. Users' sessions end after 12 hours unused and
// after 7 days, guests' after 12 and 24 hours, room devices' after 180 days unused
// and after 2 years. Each request asks the directory whether the user is still
// enabled; a session found with a disabled, removed or refused owner is deleted
// and does not come back. A browser has one session. A room device must be removed
// from its point before somebody signs in on it, because signing in would silently
// end its enrolment, and because a room's machine is a place where many come by.
//
// The owner of sockets and media is told of each session that is over (Options.Ended):
// of one that was ended at once, of one that expired within a second (Run keeps a
// timer for the first to expire), and of those whose owner the directory disabled
// without a word to us when EndGone is called.
//
// # Guessing passwords, and locking people out
//
// An attempt is counted before it is checked and taken back when it is right, so
// attempts made at the same moment all count. Counters are in the store: a restart
// forgets nothing. After 3 failures at an account from one network each doubles the
// pause from a second; the 10th locks it for that network for 15 minutes. All networks
// together have 30 free failures at an account, and the 50th locks it for half an
// hour, so that there are no more than 100 guesses in an hour. An address has 20 free
// failures, as an office is behind one, and an account of one's own does not wash it
// clean. The address is that of the connection, or what a trusted proxy says.
//
// Locking gives whoever knows a login, and has many addresses, the power to lock its
// owner out. So a browser in which the user signed in before has a cookie, signed,
// that gives it a counter of its own, of a network's limits, and exempts it from the
// counters of the account and of the address. Strangers cannot fill that counter. The cookie lets
// nobody in: stolen, it is worth 10 more guesses each 15 minutes. A new password
// makes all browsers unknown. The owner at a new device can still be kept waiting
// for as long as an attack lasts; single sign-on and the devices known before are
// the way in meanwhile. The same holds for one-time codes, whose locks double up
// to a day, because 3 of a million codes are right at a time: who knows the
// password has some 80 guesses in the first day of an attack and fewer later,
// which is 1 in 4,000 at worst for a day.
//
// A login that nobody has is counted, timed (a hash of nothing is checked) and
// answered like one that somebody has.
//
// # Room devices: the odds
//
// A code has 6 digits, holds for 10 minutes, for one device, and a point has one at
// a time; there are at most 20. Wrong codes are counted together for all
// strangers: the 10th locks for 10 minutes, longer than any code lives, and each
// further lock is twice as long, up to a day. So at most 10 guesses are tried while
// a given code lives: 1 in 100,000 that it is hit. An attack that never pauses gets
// 10 guesses before each of the locks of 10, 20, 40 ... minutes: some 80 in a day;
// one that stays under the locks, 9 in each 2 hours, 108 in a day. With one
// code valid all day that is 1 in 9,300 for a day, with the full 20 1 in 460. An
// address has 5 of those guesses, then waits 15 minutes, doubling. A hit uses up
// the code, so the technician's own attempt fails; it is in the audit log; and
// the session can be revoked. While strangers keep enrolment locked, an
// administrator signs in on the device and enrols it there, which the lock does
// not stop.
//
// # What the store's thief has
//
// Argon2id hashes of passwords, SHA-256 of random tokens, secrets of one-time
// codes and ID tokens sealed with AES-GCM, device and recovery codes under HMAC.
// The key is a file of the data directory (LoadKey) and must be kept out of
// backups of the database.
package account
