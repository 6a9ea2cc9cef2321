package rtc

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	lkauth "github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"

	"diemcau/signaling/auth"
)

// newStartSession turns a checked token and the query of r into the description
// of the session to open. needJoinRequest is true on `/rtc/v1`. claims.Grants is
// changed to what the participant starts with: its metadata and attributes may
// come from the request where the grants allow it.
//
// Errors are *auth.Error or *requestError.
func newStartSession(r *http.Request, claims *auth.Claims, needJoinRequest bool) (*livekit.StartSession, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, badRequest("query string is malformed")
	}
	room, err := claims.Join(query.Get("room"))
	if err != nil {
		return nil, err
	}
	start := &livekit.StartSession{
		RoomName:       room,
		ConnectionId:   "CO_" + rand.Text(),
		TokenExpiresAt: claims.ExpiresAt.Unix(),
		CreateRoom:     createRoomRequest(room, claims.Grants),
	}
	switch param := query.Get("join_request"); {
	case param != "":
		err = applyJoinRequest(start, claims.Grants, param)
	case needJoinRequest:
		err = badRequest("join_request is required")
	default:
		err = applyQuery(start, claims.Grants, query)
	}
	if err != nil {
		return nil, err
	}
	// Checked again: the request has added to them.
	if err := claims.CheckLimits(); err != nil {
		return nil, err
	}
	settleClientInfo(start.Client, r)
	grants, err := json.Marshal(claims.Grants)
	if err != nil {
		return nil, fmt.Errorf("rtc: encode grants: %w", err)
	}
	start.Identity = claims.Grants.Identity
	start.Name = claims.Grants.Name
	start.GrantsJson = string(grants)
	return start, nil
}

// applyQuery reads the parameters of the two-peer-connection protocol.
func applyQuery(start *livekit.StartSession, grants *lkauth.ClaimGrants, q url.Values) error {
	start.Client = clientInfoFromQuery(q)
	start.AutoSubscribe = boolParam(q, "auto_subscribe", true)
	start.AutoSubscribeDataTrack = optionalBoolParam(q, "auto_subscribe_data_track")
	start.AdaptiveStream = boolParam(q, "adaptive_stream", false)
	start.SubscriberAllowPause = optionalBoolParam(q, "subscriber_allow_pause")
	start.DisableIceLite = boolParam(q, "disable_ice_lite", false)
	start.Reconnect = boolParam(q, "reconnect", false)
	start.ReconnectReason = livekit.ReconnectReason(intParam(q, "reconnect_reason"))
	if start.Reconnect {
		start.ParticipantId = clip(q.Get("sid"), maxClientField)
	}
	if publish := q.Get("publish"); publish != "" {
		if err := publishOnly(grants, publish); err != nil {
			return err
		}
	}
	if param := q.Get("attributes"); param != "" {
		attributes, err := decodeAttributes(param)
		if err != nil {
			return badRequest("attributes are not base64url of a JSON object of strings")
		}
		return mergeOwn(grants, "", attributes)
	}
	return nil
}

// applyJoinRequest reads the one-peer-connection protocol's join request.
func applyJoinRequest(start *livekit.StartSession, grants *lkauth.ClaimGrants, param string) error {
	join, err := decodeJoinRequest(param)
	if err != nil {
		return err
	}
	settings := join.GetConnectionSettings()
	start.UseSinglePeerConnection = true
	start.Client = join.ClientInfo
	if start.Client == nil {
		start.Client = &livekit.ClientInfo{}
	}
	start.AutoSubscribe = settings.GetAutoSubscribe()
	start.AdaptiveStream = settings.GetAdaptiveStream()
	start.DisableIceLite = settings.GetDisableIceLite()
	if settings != nil {
		start.SubscriberAllowPause = settings.SubscriberAllowPause
		start.AutoSubscribeDataTrack = settings.AutoSubscribeDataTrack
	}
	start.Reconnect = join.Reconnect
	start.ReconnectReason = join.ReconnectReason
	if join.Reconnect {
		start.ParticipantId = clip(join.ParticipantSid, maxClientField)
	}
	start.AddTrackRequests = join.AddTrackRequests
	// server-sdk-go sends an empty description when it has no offer to make.
	if join.PublisherOffer.GetSdp() != "" {
		start.PublisherOffer = join.PublisherOffer
	}
	start.SyncState = join.SyncState
	return mergeOwn(grants, join.Metadata, join.ParticipantAttributes)
}

// mergeOwn sets metadata and attributes that the participant brings itself over
// those of its token. An empty value does not delete the token's.
func mergeOwn(grants *lkauth.ClaimGrants, metadata string, attributes map[string]string) error {
	if metadata == "" && len(attributes) == 0 {
		return nil
	}
	if !grants.Video.GetCanUpdateOwnMetadata() {
		return notAllowed("access token does not allow setting own metadata or attributes")
	}
	if metadata != "" {
		grants.Metadata = metadata
	}
	for key, value := range attributes {
		if value == "" {
			continue
		}
		if grants.Attributes == nil {
			grants.Attributes = make(map[string]string, len(attributes))
		}
		grants.Attributes[key] = value
	}
	return nil
}

// reservedIdentities are the prefixes whose identities name exactly one device
// or service of ours.
var reservedIdentities = []string{"user:", "guest:", "point:", "svc:"}

// publishOnly makes the connection a second one of the same participant that
// only publishes, known as `identity#label`. Identities of ours are refused: a
// client must not name itself one that no token was given for.
func publishOnly(grants *lkauth.ClaimGrants, label string) error {
	for _, prefix := range reservedIdentities {
		if strings.HasPrefix(grants.Identity, prefix) {
			return notAllowed("this identity cannot open a connection only to publish")
		}
	}
	if !grants.Video.GetCanPublish() {
		return notAllowed("access token does not allow publishing")
	}
	grants.Video.SetCanSubscribe(false)
	grants.Identity += "#" + label
	return nil
}

func decodeAttributes(param string) (map[string]string, error) {
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(param, "="))
	if err != nil {
		return nil, err
	}
	var attributes map[string]string
	err = json.Unmarshal(raw, &attributes)
	return attributes, err
}

// createRoomRequest is what the room is to be like if this participant is the
// first in it: its token may carry a room configuration.
func createRoomRequest(room string, grants *lkauth.ClaimGrants) *livekit.CreateRoomRequest {
	req := &livekit.CreateRoomRequest{Name: room, RoomPreset: grants.RoomPreset}
	if c := grants.GetRoomConfiguration(); c != nil {
		req.EmptyTimeout = c.EmptyTimeout
		req.DepartureTimeout = c.DepartureTimeout
		req.MaxParticipants = c.MaxParticipants
		req.Metadata = c.Metadata
		req.Tags = c.Tags
		req.Egress = c.Egress
		req.Agents = c.Agents
		req.MinPlayoutDelay = c.MinPlayoutDelay
		req.MaxPlayoutDelay = c.MaxPlayoutDelay
		req.SyncStreams = c.SyncStreams
	}
	return req
}

func notAllowed(message string) *requestError {
	return &requestError{status: http.StatusForbidden, reason: string(auth.ReasonNotGranted), message: message}
}
