// Package rtc speaks the LiveKit signal protocol with clients.
//
// The journey of a client: Handler.ServeHTTP checks its token and its query
// (request.go, joinrequest.go) and makes a livekit.StartSession of them. The
// Bridge opens the session at the SFU node that holds the room. Only then is the
// request upgraded to a WebSocket, so that every refusal known by then is a plain
// HTTP status. From there on a conn (conn.go) carries the session with two
// goroutines: readLoop takes the client's messages, answers pings, limits the
// rate and hands the rest to Session.Send; writeLoop is the only writer of the
// socket and takes from Session.Responses and from what readLoop wants said.
//
// The participant itself (its permissions, tracks and data) lives on the other
// side of Session: when a socket dies, Session.Close tells the node so, and the
// participant may come back through another socket with `reconnect=1`.
//
// What a client can cost: one message of MaxMessageSize in memory, the responses
// its node has queued for it, and writeWait of a blocked writer. A client that
// breaks a rule gets `leave` and a close code and takes nobody with it.
package rtc
