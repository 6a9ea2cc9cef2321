// Package ballot is the cryptography of secret votes: RSA blind signatures after
// RFC 9474, the keys that make them, and the collector that takes the order of
// arrival from the choices before they are written down.
//
// The journey of one ballot:
//
//  1. A vote opens and gets a [Key] of its own from [Keys]. Its public half goes to
//     everybody in the same event, so that nobody can be given a key to tell him by.
//  2. The voter's browser draws a [Token], hides the ballot's [ID] by [Public.Blind]
//     and sends the blinded message with its session. The server sees who asks,
//     not what for, and signs once per voter: [Key.SignBlinded], [Reissue].
//  3. The browser takes the blinding off: [Blinding.Finalize]. The signature on its
//     ID is now one that the server has never seen.
//  4. The choice comes without a session, as a [CastRequest]. [Public.Verify] tells
//     that this vote's key signed the ballot, and nothing about whose it is.
//  5. [Batch] holds choices for a moment, sorts them by ID and has them committed
//     together under one time. The same token casts again until the vote closes.
//
// What is signed is the ID (a hash of the token, so that a reader of the journal
// cannot cast again with it) followed by the names of meeting and vote. The ID
// stands where RFC 9474 section 4.1 puts its 32 random bytes, which makes this the
// variant RSABSSA-SHA384-PSS-Randomized: the recommended one, whose blindness does
// not rest on the signer having made his key honestly (section 7.3). Partially
// blind RSA would allow one key for many votes; it is still a draft, needs safe
// primes, and a key per vote is also one that can be thrown away after it.
//
// docs/secret-votes.md says who could still learn what.
package ballot
