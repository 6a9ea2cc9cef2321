// Package auth checks the access tokens that clients bring and mints the ones
// the bridge gives back.
//
// A token is a LiveKit access token: a JWT (RFC 7519) signed with HMAC-SHA256
// under the secret of an API key, the key being named by the `iss` claim. The
// package answers two questions about a request, in this order: is the token
// genuine and current (401 if not), and does it grant joining the room (403 if
// not). What a participant may do inside a room is decided where the action
// happens, not here.
package auth
