package meeting

import (
	"slices"
	"time"
)

// Message is one line of the chat. Of a deleted one only the marker is left.
type Message struct {
	ID      string    `json:"id"`
	Person  string    `json:"person"`
	Text    string    `json:"text"`
	At      time.Time `json:"at"`
	Deleted bool      `json:"deleted,omitempty"`
}

// SetChat is chat.set: off, staff (chairs, secretaries, operators), or all but
// observers.
type SetChat struct {
	Mode string `json:"mode"`
}

func (b *SetChat) check(c *checker) { c.oneOf(b.Mode, "mode", "off", "staff", "all") }

func (b *SetChat) decide(d *decider) error {
	if d.s.ChatMode != b.Mode {
		d.emit(&ChatSet{Mode: b.Mode})
	}
	return nil
}

// SendChat is chat.send: one message a second. The last 500 are kept.
type SendChat struct {
	Text string `json:"text"`
}

func (b *SendChat) check(c *checker) { c.lines(&b.Text, "text", 1, 2000) }

func (b *SendChat) decide(d *decider) error {
	staff := d.hasRole(RoleChair, RoleSecretary, RoleOperator)
	if d.hasRole(RoleObserver) || d.s.ChatMode == "off" || d.s.ChatMode == "staff" && !staff {
		return problem("chat_closed")
	}
	for _, m := range slices.Backward(d.s.Chat) {
		if d.now.Sub(m.At) >= time.Second {
			break
		}
		if m.Person == d.actor() {
			return problem("too_fast")
		}
	}
	d.emit(&ChatSent{Message: d.newID("m"), Person: d.actor(), Text: b.Text})
	return nil
}

// DeleteChat is chat.delete, by a secretary or the presiding chair, or one's own.
type DeleteChat struct {
	Message string `json:"message"`
}

func (b *DeleteChat) check(c *checker) { c.match(b.Message, "message", refForm) }

func (b *DeleteChat) decide(d *decider) error {
	for _, m := range d.s.Chat {
		if m.ID != b.Message {
			continue
		}
		if m.Person != d.actor() && !conductors.allows(d.s, d.cmd.Actor) {
			return problem("forbidden")
		}
		if !m.Deleted {
			d.emit(&ChatDeleted{Message: m.ID})
		}
		return nil
	}
	return problemIn("not_found", "message")
}

// Conclusion is what was concluded (kết luận), for an item or the whole meeting.
// Others than chairs and secretaries see what was issued.
type Conclusion struct {
	ID       string        `json:"id"`
	Item     string        `json:"item,omitempty"`
	Versions []Version     `json:"versions,omitempty"`
	Issued   *IssueVersion `json:"issued,omitempty"`
}

// Version is one wording of a conclusion.
type Version struct {
	Text        string    `json:"text"`
	Attachments []string  `json:"attachments,omitempty"`
	By          string    `json:"by"`
	At          time.Time `json:"at"`
}

// IssueVersion is the wording in force.
type IssueVersion struct {
	Number      int       `json:"number"` // from 1
	Text        string    `json:"text"`
	Attachments []string  `json:"attachments,omitempty"`
	At          time.Time `json:"at"`
}

// WriteConclusion is conclusion.write: a new conclusion, or a new version of one.
type WriteConclusion struct {
	Conclusion  string   `json:"conclusion,omitempty"` // empty: a new one
	Item        string   `json:"item,omitempty"`       // of a new one
	Text        string   `json:"text"`
	Attachments []string `json:"attachments,omitempty"`
}

func (b *WriteConclusion) check(c *checker) {
	c.optional(b.Conclusion, "conclusion", refForm)
	c.optional(b.Item, "item", refForm)
	c.lines(&b.Text, "text", 1, 10000)
	c.list(b.Attachments, "attachments", maxDocuments, refForm)
}

func (b *WriteConclusion) decide(d *decider) error {
	if b.Conclusion == "" {
		if len(d.s.Conclusions) >= maxConclusions {
			return problem("list_full")
		}
		if b.Item != "" && d.s.Agenda.Items[b.Item] == nil {
			return problemIn("not_found", "item")
		}
		d.emit(&ConclusionWritten{Conclusion: d.newID("k"), Item: b.Item, Text: b.Text, Attachments: b.Attachments})
		return nil
	}
	c := d.s.Conclusions[b.Conclusion]
	switch {
	case c == nil:
		return problemIn("not_found", "conclusion")
	case b.Item != "" && b.Item != c.Item:
		return problemIn("bad_value", "item")
	case len(c.Versions) >= maxVersions:
		return problem("list_full")
	}
	if last := c.Versions[len(c.Versions)-1]; last.Text == b.Text && slices.Equal(last.Attachments, b.Attachments) {
		return problem("nothing_changed")
	}
	d.emit(&ConclusionWritten{Conclusion: c.ID, Item: c.Item, Text: b.Text, Attachments: b.Attachments})
	return nil
}

// IssueConclusion is conclusion.issue: the presiding chair puts the last version
// into force, and everybody sees it.
type IssueConclusion struct {
	Conclusion string `json:"conclusion"`
}

func (b *IssueConclusion) check(c *checker) { c.match(b.Conclusion, "conclusion", refForm) }

func (b *IssueConclusion) decide(d *decider) error {
	c := d.s.Conclusions[b.Conclusion]
	if c == nil {
		return problemIn("not_found", "conclusion")
	}
	n := len(c.Versions)
	if c.Issued != nil && c.Issued.Number == n {
		return problem("nothing_changed")
	}
	last := c.Versions[n-1]
	d.emit(&ConclusionIssued{Conclusion: c.ID, Item: c.Item, Number: n, Text: last.Text, Attachments: last.Attachments})
	return nil
}

// ChatSet is chat.mode: who may write from now on.
type ChatSet struct {
	Mode string `json:"mode"`
}

func (*ChatSet) kind() string { return "chat.mode" }

func (b *ChatSet) apply(s *State, _ meta) error { s.ChatMode = b.Mode; return nil }
func (b *ChatSet) seen(*view) Body              { return b }

// ChatSent is chat.sent.
type ChatSent struct {
	Message string `json:"message"`
	Person  string `json:"person"`
	Text    string `json:"text"`
	Deleted bool   `json:"deleted,omitempty"` // in what is sent: deleted since, and without its text
}

func (*ChatSent) kind() string { return "chat.sent" }

func (b *ChatSent) apply(s *State, m meta) error {
	if len(s.Chat) >= maxChat {
		s.Chat = append(s.Chat[:0], s.Chat[1:]...)
	}
	s.Chat = append(s.Chat, &Message{ID: b.Message, Person: b.Person, Text: b.Text, At: m.at, Deleted: b.Deleted})
	return nil
}

// seen: who catches up later does not get the text of what was deleted since.
func (b *ChatSent) seen(v *view) Body {
	for _, m := range v.s.Chat {
		if m.ID == b.Message && m.Deleted {
			return &ChatSent{Message: b.Message, Person: b.Person, Deleted: true}
		}
	}
	return b
}

// ChatDeleted is chat.deleted: the text is gone from the state, a marker is left.
type ChatDeleted struct {
	Message string `json:"message"`
}

func (*ChatDeleted) kind() string { return "chat.deleted" }

func (b *ChatDeleted) apply(s *State, _ meta) error {
	for _, m := range s.Chat {
		if m.ID == b.Message {
			m.Text, m.Deleted = "", true
		}
	}
	return nil
}

func (b *ChatDeleted) seen(*view) Body { return b }

// ConclusionWritten is conclusion.written: a conclusion's new wording, for chairs
// and secretaries.
type ConclusionWritten struct {
	Conclusion  string   `json:"conclusion"`
	Item        string   `json:"item,omitempty"`
	Text        string   `json:"text"`
	Attachments []string `json:"attachments,omitempty"`
}

func (*ConclusionWritten) kind() string { return "conclusion.written" }

func (b *ConclusionWritten) apply(s *State, m meta) error {
	c := s.Conclusions[b.Conclusion]
	if c == nil {
		c = &Conclusion{ID: b.Conclusion, Item: b.Item}
		s.Conclusions[c.ID] = c
	}
	c.Versions = append(c.Versions, Version{Text: b.Text, Attachments: slices.Clone(b.Attachments), By: m.by, At: m.at})
	return nil
}

func (b *ConclusionWritten) seen(v *view) Body {
	if v.inner {
		return b
	}
	return nil
}

// ConclusionIssued is conclusion.issued: the wording in force, for everybody.
type ConclusionIssued struct {
	Conclusion  string   `json:"conclusion"`
	Item        string   `json:"item,omitempty"`
	Number      int      `json:"number"` // of the version, from 1
	Text        string   `json:"text"`
	Attachments []string `json:"attachments,omitempty"`
}

func (*ConclusionIssued) kind() string { return "conclusion.issued" }

func (b *ConclusionIssued) apply(s *State, m meta) error {
	c := s.Conclusions[b.Conclusion]
	if c == nil {
		if err := s.lacks("conclusion", b.Conclusion); err != nil {
			return err
		}
		c = &Conclusion{ID: b.Conclusion, Item: b.Item}
		s.Conclusions[c.ID] = c
	}
	c.Issued = &IssueVersion{Number: b.Number, Text: b.Text, Attachments: slices.Clone(b.Attachments), At: m.at}
	return nil
}

func (b *ConclusionIssued) seen(*view) Body { return b }
