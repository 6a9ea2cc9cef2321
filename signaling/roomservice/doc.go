// Package roomservice serves LiveKit's RoomService over Twirp, in protobuf and in
// JSON: the API with which other servers administer rooms.
//
// It decides who may ask for what, by the grants of the token in the
// Authorization header, and checks what a request holds. What a request does is
// up to [Rooms], which the SFU is.
package roomservice
