package auth

import "net/http"

// Reason names why a token was refused; it is the label of the refusal metric.
type Reason string

// Reasons for refusing a token.
const (
	ReasonMissing     Reason = "token_missing"
	ReasonInvalid     Reason = "token_invalid"
	ReasonUnknownKey  Reason = "token_unknown_key"
	ReasonExpired     Reason = "token_expired"
	ReasonNotYetValid Reason = "token_not_yet_valid"
	ReasonRevoked     Reason = "token_revoked"
	ReasonNotGranted  Reason = "not_granted"
	ReasonWrongRoom   Reason = "wrong_room"
	ReasonBadClaims   Reason = "bad_claims"
)

// Error is a refusal. Message is plain text meant for the holder of the token;
// it never repeats any part of the token.
type Error struct {
	Status  int // HTTP status: 401 or 403
	Reason  Reason
	Message string
}

func (e *Error) Error() string { return e.Message }

func unauthorized(reason Reason, message string) *Error {
	return &Error{Status: http.StatusUnauthorized, Reason: reason, Message: message}
}

func forbidden(reason Reason, message string) *Error {
	return &Error{Status: http.StatusForbidden, Reason: reason, Message: message}
}
