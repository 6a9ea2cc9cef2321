package live

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"diemcau/signaling/journal"
	"diemcau/signaling/meeting"
)

// batch is what one commit makes durable.
type batch struct {
	at      time.Time
	drafts  []journal.Draft
	kept    []kept
	answers []func()
	events  []meeting.Event
	watched delivery
	closes  bool // a vote
}

// kept is a command that was applied.
type kept struct {
	author, command string
	events          []meeting.Event
}

// commit takes a command (nil: none) and what waits behind it, and what the clock
// brings about, decides, makes it durable, answers and tells. An error means that
// the state has run ahead of the journal and is of no use.
func (r *room) commit(first *request) error {
	b := &batch{at: r.hub.o.Now().UTC()}
	b.watched.init(r)
	if err := r.clock(b); err != nil {
		return err
	}
	for q := first; q != nil; q = r.next(b) {
		if err := r.decide(b, q); err != nil {
			return err
		}
	}
	return r.write(b)
}

// next is a command that waits, if the batch has room for it.
func (r *room) next(b *batch) *request {
	if len(b.drafts) >= maxTogether {
		return nil
	}
	select {
	case q := <-r.requests:
		return q
	default:
		return nil
	}
}

// clock adds what the server's clock brings about, so that a command that is later
// is decided after it.
func (r *room) clock(b *batch) error {
	events := meeting.Expire(r.state, b.at)
	if len(events) == 0 {
		return nil
	}
	return r.evolve(b, meeting.Command{}, events)
}

// decide adds a command's events to the batch.
func (r *room) decide(b *batch, q *request) error {
	var events []meeting.Event
	var err error
	if was, ok := r.applied[applied{q.cmd.Actor.ID, q.cmd.ID}]; ok && q.cmd.Actor.ID != "" {
		err = meeting.Again(was, q.cmd)
	} else {
		events, err = r.judge(q.cmd, b.at)
	}
	var p *meeting.Problem
	switch {
	case errors.As(err, &p) && p.Code == "already_applied": // before, or in this batch
		b.answers = append(b.answers, func() { q.done <- answer{seq: p.Seq} })
		return nil
	case err != nil:
		b.answers = append(b.answers, func() { q.done <- answer{err: err} })
		return nil
	}
	if err := r.evolve(b, q.cmd, events); err != nil {
		q.done <- answer{err: ErrUnavailable}
		return err
	}
	seq := events[len(events)-1].Seq
	b.answers = append(b.answers, func() { q.done <- answer{seq: seq} })
	return nil
}

// judge is meeting.Decide, which changes nothing. Should it panic, only the command is
// refused: an error in there must not end all meetings of the process.
func (r *room) judge(cmd meeting.Command, at time.Time) (events []meeting.Event, err error) {
	defer func() {
		if p := recover(); p != nil {
			r.hub.o.Log.Error("command panicked", "meeting", r.id, "type", cmd.Type, "panic", p, "stack", string(debug.Stack()))
			events, err = nil, fmt.Errorf("live: command %q panicked", cmd.Type)
		}
	}()
	return r.hub.decide(r.state, cmd, at)
}

// evolve applies events to the state, and notes who is to be told of them.
func (r *room) evolve(b *batch, cmd meeting.Command, events []meeting.Event) error {
	d, err := draft(cmd, events, b.at)
	if err != nil {
		return err
	}
	for _, e := range events {
		if err := meeting.Evolve(r.state, e, b.at); err != nil {
			return err
		}
		b.watched.add(r, e)
		b.closes = b.closes || e.Type == "vote.closed"
	}
	b.drafts = append(b.drafts, d)
	b.kept = append(b.kept, kept{d.Author, d.Command, events})
	b.events = append(b.events, events...)
	return nil
}

// write makes the batch durable, and only then answers and tells.
func (r *room) write(b *batch) error {
	if len(b.drafts) > 0 {
		ctx, cancel := context.WithTimeout(context.Background(), commitWithin)
		defer cancel()
		if _, err := r.writer.Append(ctx, b.drafts...); err != nil {
			return fmt.Errorf("not written: %w", err) // who waits for an answer hears of the room's end
		}
		for _, k := range b.kept {
			r.keep(k.author, k.command, k.events, b.at)
		}
	}
	for _, tell := range b.answers {
		tell()
	}
	b.watched.send(r, b.at)
	if b.closes {
		r.tellProgress() // not half a second after the end
	}
	if r.hub.o.Committed != nil && len(b.events) > 0 {
		r.hub.o.Committed(r.state, b.events)
	}
	return nil
}

// settle has those told gone who were connected when the meeting left the memory, as
// when the process was killed, and did not come back.
func (r *room) settle() {
	for id, p := range r.state.People {
		if p.Here && r.devices[id] == 0 {
			r.absent[id] = struct{}{}
		}
	}
}

// tellPresence journals who came and who went since the last time.
func (r *room) tellPresence() error {
	if len(r.absent) == 0 {
		return nil
	}
	b := &batch{at: r.hub.o.Now().UTC()}
	b.watched.init(r)
	for id := range r.absent {
		if len(b.drafts) >= maxTogether {
			break
		}
		delete(r.absent, id)
		body, err := json.Marshal(meeting.SetPresence{Person: id, Here: r.devices[id] > 0})
		if err != nil {
			return err
		}
		cmd := meeting.Command{
			ID: fmt.Sprintf("p%d", r.state.Seq+1), Type: "presence.set", Body: body,
			Actor: meeting.Actor{ID: "svc:" + authorClock},
		}
		events, err := meeting.Decide(r.state, cmd, b.at)
		if err != nil {
			continue // not in the meeting, or nothing changed
		}
		if err := r.evolve(b, cmd, events); err != nil {
			return err
		}
	}
	return r.write(b)
}
