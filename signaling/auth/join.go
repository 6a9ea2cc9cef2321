package auth

import (
	"fmt"
	"unicode"
	"unicode/utf8"
)

// Limits on what a token may claim, in bytes.
const (
	MaxIdentityLength = 256
	MaxRoomLength     = 256
	MaxNameLength     = 256
	MaxMetadataLength = 64_000 // metadata, and the keys and values of attributes together
)

// Join returns the room that c grants joining. requested is the room the client
// asked for, or "" when it left that to the token. Errors are *Error with status
// 403: stock clients show the text of a 401, 403 or 404 to their user, and of no
// other status.
func (c *Claims) Join(requested string) (room string, err error) {
	video := c.Grants.Video
	switch {
	case video == nil || !video.RoomJoin:
		return "", forbidden(ReasonNotGranted, "access token does not grant joining a room")
	case video.Room == "":
		return "", forbidden(ReasonNotGranted, "access token does not name a room")
	case requested != "" && requested != video.Room:
		return "", forbidden(ReasonWrongRoom, "access token is for another room")
	}
	if err := c.CheckLimits(); err != nil {
		return "", err
	}
	return video.Room, nil
}

// CheckLimits checks the lengths and the form of the texts in c. Errors are
// *Error with status 403.
func (c *Claims) CheckLimits() error {
	g := c.Grants
	if err := checkLabel("identity", g.Identity, 1, MaxIdentityLength); err != nil {
		return err
	}
	if g.Video != nil {
		if err := checkLabel("room name", g.Video.Room, 0, MaxRoomLength); err != nil {
			return err
		}
	}
	if err := checkLabel("name", g.Name, 0, MaxNameLength); err != nil {
		return err
	}
	if len(g.Metadata) > MaxMetadataLength || !utf8.ValidString(g.Metadata) {
		return forbidden(ReasonBadClaims, "participant metadata is too long or not UTF-8")
	}
	total := 0
	for k, v := range g.Attributes {
		if !utf8.ValidString(k) || !utf8.ValidString(v) {
			return forbidden(ReasonBadClaims, "participant attributes are not UTF-8")
		}
		total += len(k) + len(v)
	}
	if total > MaxMetadataLength {
		return forbidden(ReasonBadClaims, "participant attributes are too long")
	}
	return nil
}

// CheckRoomName checks the length and the form of a room's name.
func CheckRoomName(name string) error {
	return checkLabel("room name", name, 1, MaxRoomLength)
}

func checkLabel(what, s string, least, most int) error {
	switch {
	case len(s) < least:
		return forbidden(ReasonBadClaims, fmt.Sprintf("%s is empty", what))
	case len(s) > most:
		return forbidden(ReasonBadClaims, fmt.Sprintf("%s is longer than %d bytes", what, most))
	case !utf8.ValidString(s):
		return forbidden(ReasonBadClaims, fmt.Sprintf("%s is not UTF-8", what))
	}
	for _, r := range s {
		if unicode.IsControl(r) {
			return forbidden(ReasonBadClaims, fmt.Sprintf("%s contains control characters", what))
		}
	}
	return nil
}
