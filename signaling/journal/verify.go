package journal

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"diemcau/signaling/store"
)

// FaultKind says what is wrong with a chain.
type FaultKind int

// The kinds of faults of a chain.
const (
	Changed   FaultKind = iota // the entry is not what was written
	Missing                    // the entry is not there, later ones are
	Inserted                   // the entry was put between two others
	CutOff                     // the entry was signed, and it and all later ones are not there
	Rewritten                  // the chain fits itself and not a signed head
)

// Fault is the first thing wrong with a chain.
type Fault struct {
	Kind FaultKind
	Seq  uint64 // the first entry concerned
	// Signed is the number of the head that does not fit, with CutOff and
	// Rewritten. The change is then somewhere from Seq to Signed.
	Signed uint64
}

// MeetingReport is what Verify found in one meeting.
type MeetingReport struct {
	Meeting  string
	Entries  uint64 // that are sound, from the first
	Head     uint64 // the newest signed head, 0 without one
	Unsigned uint64 // sound entries after that head
	Fault    *Fault // nil: the chain is whole
}

// Report is what Verify found.
type Report struct {
	Meetings []MeetingReport // sorted by meeting
	Heads    []HeadFault
	Torn     bool // the heads file ends in the middle of a line, as after a crash
	NoHeads  bool // there was no heads file to compare with
}

// OK tells whether nothing was found.
func (r *Report) OK() bool {
	return len(r.Heads) == 0 && !slices.ContainsFunc(r.Meetings, func(m MeetingReport) bool { return m.Fault != nil })
}

// Verify checks every chain of the database, and that it goes through the signed
// heads of log. Without a log (nil) a chain that was cut off or wholly rewritten
// cannot be told from a whole one. An error means that the database could not be
// read; what was found is in the report. It may run beside the server.
func Verify(ctx context.Context, db *store.DB, log *HeadLog) (*Report, error) {
	report := &Report{NoHeads: log == nil}
	if log == nil {
		log = &HeadLog{}
	}
	report.Heads, report.Torn = log.Faults, log.Torn
	meetings := make(map[string]bool)
	for m := range log.heads {
		meetings[m] = true
	}
	rows, err := db.Query(ctx, `SELECT DISTINCT meeting FROM journal_entries`)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var m string
		if err := rows.Scan(&m); err != nil {
			return nil, fmt.Errorf("journal: %w", err)
		}
		meetings[m] = true
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	for _, m := range slices.Sorted(maps.Keys(meetings)) {
		found, err := verifyMeeting(ctx, db, m, log.heads[m])
		if err != nil {
			return nil, fmt.Errorf("journal: meeting %q: %w", m, err)
		}
		report.Meetings = append(report.Meetings, found)
	}
	return report, nil
}

// rawEntry is a row as it is; bad means that it cannot be an entry.
type rawEntry struct {
	Entry
	bad bool
}

// chainCheck walks one chain.
type chainCheck struct {
	heads     map[uint64]Hash
	confirmed uint64 // the last entry that a head confirms
	last      Entry
}

func verifyMeeting(ctx context.Context, db *store.DB, meeting string, heads []Head) (MeetingReport, error) {
	report := MeetingReport{Meeting: meeting}
	c := chainCheck{heads: make(map[uint64]Hash)}
	for _, h := range heads {
		if old, ok := c.heads[h.Seq]; ok && old != h.Hash {
			// Two signatures of one number: the first was acknowledged first.
			report.Fault = &Fault{Kind: Rewritten, Seq: h.Seq, Signed: h.Seq}
			continue
		}
		c.heads[h.Seq] = h.Hash
		report.Head = max(report.Head, h.Seq)
	}
	rows, err := db.Query(ctx, `SELECT `+entryColumns+` FROM journal_entries WHERE meeting = $1 ORDER BY seq`, meeting)
	if err != nil {
		return report, err
	}
	defer rows.Close()
	next := func() *rawEntry {
		if !rows.Next() {
			return nil
		}
		e, err := scanEntry(rows)
		return &rawEntry{Entry: e, bad: err != nil}
	}
	e := next()
	for e != nil {
		after := next()
		if fault := c.step(e, after); fault != nil {
			report.Fault = earlier(report.Fault, fault)
			break
		}
		e = after
	}
	if err := rows.Err(); err != nil {
		return report, err
	}
	report.Entries = c.last.Seq
	if e == nil && report.Entries < report.Head {
		report.Fault = earlier(report.Fault, &Fault{Kind: CutOff, Seq: report.Entries + 1, Signed: report.Head})
	}
	if report.Entries > report.Head {
		report.Unsigned = report.Entries - report.Head
	}
	return report, nil
}

func earlier(a, b *Fault) *Fault {
	if a != nil && a.Seq <= b.Seq {
		return a
	}
	return b
}

// step checks e, which should follow c.last. The row after it helps to tell
// which of two entries is the wrong one.
func (c *chainCheck) step(e, after *rawEntry) *Fault {
	want := c.last.Seq + 1
	switch {
	case e.bad:
		return &Fault{Kind: Changed, Seq: want}
	case e.Seq > want:
		return &Fault{Kind: Missing, Seq: want}
	case e.Seq < want:
		return &Fault{Kind: Inserted, Seq: e.Seq}
	case e.Sum() != e.Hash:
		return c.mismatch(e, after)
	case e.Prev != c.last.Hash:
		return c.unlinked(e, after)
	case e.At.Before(c.last.At), e.Fence < c.last.Fence, e.Fence == 0:
		return &Fault{Kind: Changed, Seq: want}
	}
	if signed, ok := c.heads[want]; ok {
		if signed != e.Hash {
			return &Fault{Kind: Rewritten, Seq: c.confirmed + 1, Signed: want}
		}
		c.confirmed = want
	}
	c.last = e.Entry
	return nil
}

// mismatch names what happened when e's fields do not have its hash. When they
// have it under the number before or after, entries were renumbered around one
// that was put in or taken out.
func (c *chainCheck) mismatch(e, after *rawEntry) *Fault {
	want := e.Seq
	if numbered(e, want-1) && want > 1 {
		return &Fault{Kind: Inserted, Seq: want - 1}
	}
	if after != nil && !after.bad && after.Prev == c.last.Hash && numbered(after, want) {
		return &Fault{Kind: Inserted, Seq: want}
	}
	if numbered(e, want+1) {
		return &Fault{Kind: Missing, Seq: want}
	}
	return &Fault{Kind: Changed, Seq: want}
}

// numbered tells whether e has its hash when its number is seq.
func numbered(e *rawEntry, seq uint64) bool {
	moved := e.Entry
	moved.Seq = seq
	return moved.Sum() == e.Hash
}

// unlinked names the changed one of two entries that each fit themselves and do
// not fit together.
func (c *chainCheck) unlinked(e, after *rawEntry) *Fault {
	before := c.last.Seq
	if before == 0 || c.confirmed == before {
		return &Fault{Kind: Changed, Seq: e.Seq}
	}
	if after != nil && !after.bad && after.Prev != e.Hash {
		return &Fault{Kind: Changed, Seq: e.Seq}
	}
	return &Fault{Kind: Changed, Seq: before}
}
