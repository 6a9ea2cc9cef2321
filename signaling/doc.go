// Package signaling is the bridge's HTTP server: the LiveKit signal protocol
// (package rtc), the small API of the web client, health, metrics, and the web
// client itself.
//
// A request passes the same few layers whatever it asks for (middleware.go): a
// debug log line without its query (tokens travel there), recovery, security
// headers. Errors of the API are problem+json (RFC 9457).
package signaling
