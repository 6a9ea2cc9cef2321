package meeting

import "time"

// Next is the earliest moment at which Expire has something to say, now or later;
// false when nothing is due. The caller sets a timer by it.
func Next(s *State) (time.Time, bool) {
	var first time.Time
	due := func(t time.Time, ok bool) {
		if ok && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	if s.Info.Status != Running {
		return first, false
	}
	due(s.request(s.Floor).deadline())
	due(s.Call.deadline())
	for _, v := range s.Votes {
		due(v.ClosesAt, v.State == "open" && !v.ClosesAt.IsZero())
	}
	return first, !first.IsZero()
}

// deadline is when the countdown of a call is over.
func (c *Call) deadline() (time.Time, bool) {
	if c == nil || c.Seconds == 0 || c.Overrun || c.Since.IsZero() {
		return time.Time{}, false
	}
	return c.Since.Add(time.Duration(c.Seconds) * time.Second), true
}

// Expire gives the events that the server's clock brings about by now: a vote
// closes, a speaker's or a call's time is used up, which is only a warning. The
// caller treats them as the events of a command. A ballot that comes between a
// vote's end and this event is refused by Decide already.
func Expire(s *State, now time.Time) []Event {
	d := &decider{s: s, now: s.moment(now)}
	if s.Info.Status != Running {
		return nil
	}
	for _, id := range byAge(s.Votes) {
		if v := s.Votes[id]; v.State == "open" && v.expired(d.now) {
			d.emit(&VoteClosed{Vote: id, Result: tally(v, nil)})
		}
	}
	r := s.request(s.Floor)
	if t, ok := r.deadline(); ok && !d.now.Before(t) {
		d.emit(&SpeakOvertime{Request: r.ID})
	}
	if t, ok := s.Call.deadline(); ok && !d.now.Before(t) {
		d.emit(&CallOvertime{Point: s.Call.Point})
	}
	return d.events
}
