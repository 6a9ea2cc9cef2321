package conference

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"diemcau/signaling/account"
	"diemcau/signaling/meeting"
	"diemcau/signaling/problem"
)

// Bodies and answers of the routes.
type (
	meetingPath struct {
		ID string `path:"id" maxLength:"64" doc:"Id of the meeting"`
	}
	listQuery struct {
		Scope  string    `query:"scope" enum:"mine,unit,all" default:"mine" doc:"Meetings I am in, those my unit holds, or all I may see"`
		Status []string  `query:"status" maxItems:"10" doc:"draft, submitted, returned, approved, running, paused, ended, archived, cancelled"`
		From   time.Time `query:"from" doc:"Not over before"`
		To     time.Time `query:"to" doc:"Begins before"`
		Text   string    `query:"q" maxLength:"200" doc:"Words of title or place, with or without diacritics"`
		Order  string    `query:"order" enum:"newest,oldest" default:"newest"`
		After  string    `query:"after" maxLength:"200" doc:"next of the page before"`
		Limit  int       `query:"limit" minimum:"1" maximum:"100" default:"50"`
	}
	listAnswer struct {
		Body struct {
			Items []listed `json:"items"`
			Next  string   `json:"next" doc:"For after; empty at the end"`
		}
	}
	createRequest struct {
		Body struct {
			ID           string    `json:"id" doc:"Of the command, made by the client" pattern:"^[A-Za-z0-9_-]{1,64}$"`
			Title        string    `json:"title"`
			Kind         string    `json:"kind,omitempty"`
			Unit         string    `json:"unit"`
			Place        string    `json:"place,omitempty"`
			PlannedStart time.Time `json:"plannedStart,omitempty"`
			PlannedEnd   time.Time `json:"plannedEnd,omitempty"`
			Rules        struct {
				Quorum       string `json:"quorum,omitempty"`
				QuorumBase   string `json:"quorumBase,omitempty"`
				SelfCheckIn  bool   `json:"selfCheckIn,omitempty"`
				PointCameras bool   `json:"pointCameras,omitempty"`
			} `json:"rules,omitempty"`
		}
	}
	createAnswer struct {
		Body struct {
			Meeting string `json:"meeting"`
			Seq     uint64 `json:"seq"`
		}
	}
	commandRequest struct {
		ID      string `path:"id" maxLength:"64"`
		RawBody []byte `contentType:"application/json"`
	}
	commandAnswer struct {
		Body struct {
			ID  string `json:"id"`
			Seq uint64 `json:"seq" doc:"Number of the last event the command led to"`
		}
	}
	rawAnswer struct {
		ContentType  string `header:"Content-Type"`
		Disposition  string `header:"Content-Disposition"`
		CacheControl string `header:"Cache-Control"`
		Body         []byte
	}
	conflictsAnswer struct {
		Body struct {
			Items []clash `json:"items"`
		}
	}
	joinRequest struct {
		ID   string `path:"id" maxLength:"64"`
		Body struct {
			Device    string `json:"device,omitempty" doc:"Of a user: 1 to 16 characters a-z, 0-9, hyphen, the same on every visit with this device"`
			Companion bool   `json:"companion,omitempty" doc:"A phone beside a device in the room: no media in either direction"`
		}
	}
	joinAnswer    struct{ Body ticket }
	ballotRequest struct {
		ID   string `path:"id" maxLength:"64"`
		Vote string `path:"vote" maxLength:"64"`
		Body struct {
			Blinded string `json:"blinded" maxLength:"342" doc:"base64url, 256 bytes"`
		}
	}
	ballotAnswer struct {
		Body struct {
			Signature string `json:"signature" doc:"Blind signature, base64url, 256 bytes"`
		}
	}
	notesAnswer struct {
		Body struct {
			Items []memo `json:"items"`
		}
	}
	noteRequest struct {
		ID   string `path:"id" maxLength:"64"`
		Body memo
	}
	noteAnswer struct{ Body memo }
)

// Register adds the routes of meetings to the API. BallotBox is to be mounted beside
// it, at POST /ballots.
func Register(api huma.API, s *Service) {
	op := func(method, path, id, summary string) huma.Operation {
		return huma.Operation{Method: method, Path: path, OperationID: id, Summary: summary, Tags: []string{"meetings"},
			MaxBodyBytes: maxMessage, BodyReadTimeout: 15 * time.Second, Errors: []int{400, 401, 403, 404, 409, 422, 429, 503}}
	}
	huma.Register(api, op("GET", "/meetings", "list-meetings", "List or search meetings"), s.getList)
	create := op("POST", "/meetings", "create-meeting", "Make a meeting")
	create.DefaultStatus = http.StatusCreated
	huma.Register(api, create, s.postCreate)
	huma.Register(api, op("GET", "/meetings/{id}", "get-meeting", "The meeting as the caller may see it: docs/meeting-events.md"), s.getSnapshot)
	huma.Register(api, op("GET", "/meetings/{id}/conflicts", "list-conflicts", "People and points wanted elsewhere at the same time"), s.getConflicts)
	command := op("POST", "/meetings/{id}/commands", "apply-command", "Give a command: docs/meeting-events.md")
	command.SkipValidateBody = true // parseMessage does, as for the socket
	huma.Register(api, command, s.postCommand)
	describeCommand(api)
	huma.Register(api, op("POST", "/meetings/{id}/join", "join-meeting", "A token for the media"), s.postJoin)
	huma.Register(api, op("POST", "/meetings/{id}/votes/{vote}/ballot", "issue-ballot", "The ballot of a secret vote: docs/secret-votes.md"), s.postBallot)
	huma.Register(api, op("GET", "/meetings/{id}/record", "get-record", "Running record, as text"), s.getRecord)
	huma.Register(api, op("GET", "/meetings/{id}/attendance.csv", "get-attendance", "Attendance list, as CSV"), s.getAttendance)
	huma.Register(api, op("GET", "/meetings/{id}/notes", "list-notes", "The caller's private notes"), s.getNotes)
	huma.Register(api, op("PUT", "/meetings/{id}/notes", "put-note", "Keep or remove a private note"), s.putNote)
	describeBallots(api)
}

// describeCommand says what the body of a command is, which huma sees as bytes.
func describeCommand(api huma.API) {
	for _, item := range api.OpenAPI().Paths {
		if item.Post == nil || item.Post.OperationID != "apply-command" {
			continue
		}
		item.Post.RequestBody.Content["application/json"].Schema = &huma.Schema{
			Type: "object", Required: []string{"id", "type"}, AdditionalProperties: false,
			Properties: map[string]*huma.Schema{
				"id":   {Type: "string", Pattern: "^[A-Za-z0-9_-]{1,64}$", Description: "Made by the client; a command is applied once"},
				"type": {Type: "string", Description: "As in docs/meeting-events.schema.json"},
				"body": {Type: "object", AdditionalProperties: true, Description: "Of the type's own form"},
			},
		}
	}
}

// describeBallots describes the anonymous route, which is not served here but by
// BallotBox, outside of all that the API does around others.
func describeBallots(api huma.API) {
	api.OpenAPI().AddOperation(&huma.Operation{Method: "POST", Path: "/ballots", OperationID: "cast-ballot", Tags: []string{"meetings"},
		Summary: "A choice in a secret vote, without credentials: docs/secret-votes.md",
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			"application/json": {Schema: &huma.Schema{Type: "object"}}}},
		Responses: map[string]*huma.Response{"200": {Description: "On disk: ballot, the number of the ballot, and revision"}}})
}

var statuses = []meeting.Status{meeting.Draft, meeting.Submitted, meeting.Returned, meeting.Approved, meeting.Running, meeting.Paused,
	meeting.Ended, meeting.Archived, meeting.Cancelled}

func (s *Service) getList(ctx context.Context, q *listQuery) (*listAnswer, error) {
	p, err := s.reader(ctx)
	if err != nil {
		return nil, err
	}
	if p.Lobby {
		return nil, problem.InLobby
	}
	for _, st := range q.Status {
		if !slices.Contains(statuses, meeting.Status(st)) {
			return nil, badValue.In("status")
		}
	}
	out := &listAnswer{}
	out.Body.Items, out.Body.Next, err = s.list(ctx, p, filter{scope: q.Scope, statuses: q.Status, from: q.From, to: q.To,
		text: q.Text, oldest: q.Order == "oldest", after: q.After, limit: min(max(q.Limit, 1), maxPage)})
	return out, err
}

func (s *Service) postCreate(ctx context.Context, q *createRequest) (*createAnswer, error) {
	b := q.Body
	out := &createAnswer{}
	var err error
	out.Body.Meeting, out.Body.Seq, err = s.create(ctx, b.ID, meeting.Details{Title: b.Title, Kind: b.Kind, Unit: b.Unit, Place: b.Place,
		PlannedStart: b.PlannedStart, PlannedEnd: b.PlannedEnd, Rules: meeting.Rules{Quorum: meeting.Fraction(b.Rules.Quorum),
			QuorumBase: b.Rules.QuorumBase, SelfCheckIn: b.Rules.SelfCheckIn, PointCameras: b.Rules.PointCameras}})
	return out, err
}

func (s *Service) getSnapshot(ctx context.Context, q *meetingPath) (*rawAnswer, error) {
	if _, err := s.reader(ctx); err != nil {
		return nil, err
	}
	p, err := enter(ctx, q.ID)
	if err != nil {
		return nil, err
	}
	v, err := s.viewerOf(ctx, p, q.ID)
	if err != nil {
		return nil, err
	}
	var view *meeting.State
	if err := s.hub.Look(ctx, q.ID, func(st *meeting.State) {
		if _, waits := sees(st, v); waits || !p.Lobby {
			view = meeting.Snapshot(st, v)
		}
	}); err != nil {
		return nil, err
	}
	if view == nil {
		return nil, problem.NotFound
	}
	raw, err := json.Marshal(view)
	return &rawAnswer{ContentType: "application/json", CacheControl: "no-store", Body: raw}, err
}

func (s *Service) getConflicts(ctx context.Context, q *meetingPath) (*conflictsAnswer, error) {
	out := &conflictsAnswer{}
	_, err := s.reader(ctx)
	if err == nil {
		out.Body.Items, err = s.conflicts(ctx, q.ID)
	}
	return out, err
}

func (s *Service) postCommand(ctx context.Context, q *commandRequest) (*commandAnswer, error) {
	if _, ok := account.From(ctx); !ok {
		return nil, problem.NotSignedIn
	}
	m, err := parseMessage(q.RawBody)
	if err != nil {
		s.unread(ctx, q.ID, err)
		return nil, err
	}
	out := &commandAnswer{}
	out.Body.ID = m.ID
	out.Body.Seq, err = s.do(ctx, q.ID, m)
	return out, err
}

func (s *Service) postJoin(ctx context.Context, q *joinRequest) (*joinAnswer, error) {
	t, err := s.join(ctx, q.ID, q.Body.Device, q.Body.Companion)
	return &joinAnswer{t}, err
}

func (s *Service) postBallot(ctx context.Context, q *ballotRequest) (*ballotAnswer, error) {
	out := &ballotAnswer{}
	var err error
	out.Body.Signature, err = s.issue(ctx, q.ID, q.Vote, q.Body.Blinded)
	return out, err
}

func (s *Service) getRecord(ctx context.Context, q *meetingPath) (*rawAnswer, error) {
	if _, err := s.reader(ctx); err != nil {
		return nil, err
	}
	raw, err := s.record(ctx, q.ID)
	return &rawAnswer{ContentType: "text/plain; charset=utf-8", CacheControl: "no-store", Body: raw}, err
}

func (s *Service) getAttendance(ctx context.Context, q *meetingPath) (*rawAnswer, error) {
	if _, err := s.reader(ctx); err != nil {
		return nil, err
	}
	raw, err := s.attendance(ctx, q.ID)
	return &rawAnswer{ContentType: "text/csv; charset=utf-8", Disposition: `attachment; filename="diem-danh.csv"`,
		CacheControl: "no-store", Body: raw}, err
}

func (s *Service) getNotes(ctx context.Context, q *meetingPath) (*notesAnswer, error) {
	out := &notesAnswer{}
	var err error
	out.Body.Items, err = s.notes(ctx, q.ID)
	return out, err
}

func (s *Service) putNote(ctx context.Context, q *noteRequest) (*noteAnswer, error) {
	n, err := s.keepNote(ctx, q.ID, q.Body)
	return &noteAnswer{n}, err
}
