package live

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"diemcau/signaling/journal"
	"diemcau/signaling/meeting"
)

// Authors of entries that nobody in particular is behind.
const (
	authorClock  = "server" // the server's clock
	authorBallot = "ballot" // a ballot of a secret vote
)

// record is the body of an entry of the journal: what one command led to. At is the
// time of the meeting at which its state was evolved; the entry's own is that of
// writing.
type record struct {
	At     int64           `json:"at"` // Unix milliseconds
	Events []meeting.Event `json:"events"`
}

func (r record) time() time.Time { return time.UnixMilli(r.At).UTC() }

// draft makes the entry of a command's events.
func draft(cmd meeting.Command, events []meeting.Event, at time.Time) (journal.Draft, error) {
	body, err := json.Marshal(record{At: at.UnixMilli(), Events: events})
	if err != nil {
		return journal.Draft{}, err
	}
	d := journal.Draft{Command: cmd.ID, Author: cmd.Actor.ID, Body: body}
	switch {
	case d.Author == "" && cmd.Type == "":
		d.Command, d.Author = "", authorClock
	case d.Author == "":
		d.Command, d.Author = "", authorBallot // its id could tell who sent it
	}
	return d, nil
}

// Events reads the events of an entry, and the meeting's time at which they happened.
func Events(e journal.Entry) ([]meeting.Event, time.Time, error) {
	var r record
	dec := json.NewDecoder(bytes.NewReader(e.Body))
	dec.DisallowUnknownFields()
	err := dec.Decode(&r)
	if err == nil && len(r.Events) == 0 {
		err = errors.New("no events")
	}
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("live: entry %d of meeting %q: %w", e.Seq, e.Meeting, err)
	}
	return r.Events, r.time(), nil
}

// fold evolves s by an entry.
func fold(s *meeting.State, e journal.Entry) ([]meeting.Event, time.Time, error) {
	events, at, err := Events(e)
	if err != nil {
		return nil, at, err
	}
	for _, event := range events {
		if err := meeting.Evolve(s, event, at); err != nil {
			return nil, at, fmt.Errorf("live: entry %d of meeting %q: %w", e.Seq, e.Meeting, err)
		}
	}
	return events, at, nil
}
