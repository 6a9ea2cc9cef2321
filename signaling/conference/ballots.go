package conference

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"diemcau/signaling/audit"
	"diemcau/signaling/ballot"
	"diemcau/signaling/live"
	"diemcau/signaling/meeting"
	"diemcau/signaling/problem"
)

// receiptSize is the length of every receipt, filled up with blanks.
const receiptSize = 128

// issue gives a voter the blind signature on a ballot, once it is on disk that they
// got one.
func (s *Service) issue(ctx context.Context, id, vote, blob string) (string, error) {
	p, err := admitted(ctx, id)
	if err != nil {
		return "", err
	}
	signature, err := s.sign(ctx, identityOf(p), p.SessionID, p.Device, ballot.Vote{Meeting: id, ID: vote}, blob)
	if err != nil {
		s.note(ctx, p.Identity, "ballot.issue", "meeting:"+known(id), codeOf(err))
		return "", err
	}
	s.note(ctx, p.Identity, "ballot.issue", "meeting:"+id, audit.OK)
	return signature, nil
}

func (s *Service) sign(ctx context.Context, voter, session, device string, v ballot.Vote, blob string) (string, error) {
	if !s.issues.allow(session) {
		return "", tooFast
	}
	blinded, err := ballot.DecodeBlob(blob)
	if err != nil {
		return "", badJSON
	}
	recorded, err := s.voter(ctx, v, voter)
	if err != nil {
		return "", err
	}
	if recorded != "" && ballot.Reissue(recorded, blinded) != nil {
		return "", alreadyIssued
	}
	b, err := s.boxes.of(ctx, v)
	if err != nil {
		return "", err
	}
	signature, err := b.key.SignBlinded(blinded)
	switch {
	case errors.Is(err, ballot.ErrBlinded):
		return "", badJSON
	case err != nil: // wiped a moment ago
		return "", voteClosed
	}
	digest := ballot.Digest(blinded)
	if recorded == "" {
		body, err := json.Marshal(meeting.IssueBallot{Vote: v.ID, Request: digest})
		if err != nil {
			return "", err
		}
		// The id is made of vote and request: the same asked twice at a time is one.
		_, err = s.hub.Apply(ctx, v.Meeting, meeting.Command{ID: ballot.Digest([]byte(v.ID + digest)), Type: "ballot.issue",
			Actor: meeting.Actor{ID: voter, Device: device}, Body: body, Sum: meeting.Sum("ballot.issue", body)})
		if err != nil {
			return "", err
		}
		// That the id was applied is not enough: the voter can work it out and use it
		// for something else. Only what is recorded may be signed.
		if recorded, err = s.voter(ctx, v, voter); err != nil {
			return "", err
		}
		if recorded != digest {
			return "", alreadyIssued
		}
	}
	return ballot.EncodeBlob(signature), nil
}

// voter checks that somebody may vote now, and gives what they were issued.
func (s *Service) voter(ctx context.Context, v ballot.Vote, voter string) (recorded string, err error) {
	err = live.ErrNoMeeting
	if e := s.hub.Look(ctx, v.Meeting, func(st *meeting.State) {
		vote := st.Votes[v.ID]
		if in, _ := sees(st, meeting.Viewer{ID: voter}); !in || vote == nil || vote.State == "draft" {
			return
		}
		_, entitled := vote.Voters[voter]
		switch {
		case !vote.Secret:
			err = voteNotSecret
		case vote.State != "open":
			err = voteClosed
		case !entitled:
			err = notEntitled
		default:
			recorded, err = meeting.IssuedFor(st, v.ID, voter), nil
		}
	}); e != nil {
		return "", e
	}
	return recorded, err
}

// BallotBox serves POST /api/v1/ballots: a choice in a secret vote, from nobody in
// particular. It belongs before whatever looks up sessions, writes access logs or
// audit lines. The address of the client is looked at for the limit of requests
// and goes nowhere else; the language is the same for all.
func (s *Service) BallotBox() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Connection", "close") // two ballots of one person do not share a connection
		receipt, err := s.takeBallot(w, r)
		s.metrics.casts.WithLabelValues(codeOf(err)).Inc()
		if err != nil {
			d := problem.Of(err, false)
			if d.Code == "internal" {
				s.o.Log.Error("secret ballot failed", "error", err)
			}
			raw, _ := json.Marshal(d) // strings and numbers
			h.Set("Content-Type", "application/problem+json")
			w.WriteHeader(d.Status)
			_, _ = w.Write(raw)
			return
		}
		h.Set("Content-Type", "application/json")
		_, _ = w.Write(receipt) //nolint:gosec // G705: JSON of hexadecimal digits and a number
	})
}

func (s *Service) takeBallot(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.Method != http.MethodPost {
		return nil, problem.Method
	}
	address, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		address = r.RemoteAddr
	}
	if !s.casts.allow(address) {
		return nil, tooFast
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, ballot.CastSize))
	if err != nil {
		return nil, badJSON
	}
	request, err := ballot.ParseCast(body)
	if err != nil {
		return nil, badJSON
	}
	return s.cast(r.Context(), request)
}

// cast verifies a ballot, has it recorded and gives the receipt.
func (s *Service) cast(ctx context.Context, request ballot.CastRequest) ([]byte, error) {
	if !meetingForm.MatchString(request.Vote.Meeting) {
		return nil, ballotInvalid
	}
	b, err := s.boxes.of(ctx, request.Vote)
	switch {
	case errors.Is(err, live.ErrNoMeeting), errors.Is(err, voteNotSecret):
		return nil, ballotInvalid
	case err != nil:
		return nil, err
	}
	id, err := b.key.Public().Verify(request.Vote, request.Token, request.Signature)
	if err != nil {
		return nil, ballotInvalid
	}
	err = b.add(ctx, ballot.Cast{ID: id, Signature: request.Signature, Choices: request.Choices, Revision: request.Revision})
	if err != nil {
		return nil, s.castProblem(ctx, request.Vote, err)
	}
	receipt := fmt.Appendf(nil, `{"ballot":%q,"revision":%d}`, id.String(), request.Revision)
	return append(receipt, bytes.Repeat([]byte(" "), receiptSize-len(receipt))...), nil
}

func (s *Service) castProblem(ctx context.Context, v ballot.Vote, err error) error {
	var p *meeting.Problem
	switch {
	case errors.As(err, &p):
		if p.Code == "ballots_used_up" && s.o.Audit != nil {
			s.o.Audit.Note(audit.Record{At: s.o.Now(), Action: "ballot.cast", Object: "meeting:" + v.Meeting, Result: p.Code, Detail: v.ID})
		}
		if p.Code == "wrong_state" { // the meeting pauses or is over
			return voteClosed
		}
		return p
	case errors.Is(err, ballot.ErrStale):
		return ballotStale
	case errors.Is(err, ballot.ErrConflict):
		return ballotConflict
	case errors.Is(err, ballot.ErrBusy):
		return problem.Busy
	case errors.Is(err, ballot.ErrBatchClosed):
		return voteClosed
	case ctx.Err() != nil:
		return problem.Unavailable
	}
	return err
}
