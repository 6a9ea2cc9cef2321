package meeting

import "time"

// Device is what a point's room device was last asked for by the operator.
type Device struct {
	Microphone string `json:"microphone,omitempty"` // mute | unmute
	Camera     string `json:"camera,omitempty"`     // camera_on | camera_off
	Preset     string `json:"preset,omitempty"`     // camera preset
}

// Readiness is how a point's test went (readiness wall).
type Readiness struct {
	Camera     string    `json:"camera"` // untested | ok | bad
	Microphone string    `json:"microphone"`
	Speaker    string    `json:"speaker"`
	Line       string    `json:"line"`
	Note       string    `json:"note,omitempty"`
	Help       string    `json:"help,omitempty"` // what help is asked for
	HelpSince  time.Time `json:"helpSince,omitzero"`
	At         time.Time `json:"at,omitzero"` // of the last test
}

func untested() *Readiness {
	return &Readiness{Camera: "untested", Microphone: "untested", Speaker: "untested", Line: "untested"}
}

// Waiting is a guest in the lobby.
type Waiting struct {
	Name  string    `json:"name"`
	Since time.Time `json:"since"`
}

// CommandDevice is device.command: the operator asks a point's device for something.
type CommandDevice struct {
	Point  string `json:"point"`
	Action string `json:"action"` // mute | unmute | camera_on | camera_off | preset
	Preset string `json:"preset,omitempty"`
}

func (b *CommandDevice) check(c *checker) {
	c.person(b.Point, "point")
	c.oneOf(b.Action, "action", "mute", "unmute", "camera_on", "camera_off", "preset")
	c.optional(b.Preset, "preset", refForm)
	if (b.Action == "preset") != (b.Preset != "") {
		c.fail("bad_value", "preset")
	}
}

func (b *CommandDevice) decide(d *decider) error {
	if err := d.checkPoint(b.Point); err != nil {
		return err
	}
	d.emit(&DeviceCommanded{Point: b.Point, Action: b.Action, Preset: b.Preset})
	return nil
}

// ReportReadiness is ready.report, by the point or the desk. What is left empty
// stays.
type ReportReadiness struct {
	Point      string `json:"point,omitempty"` // empty: oneself
	Camera     string `json:"camera,omitempty"`
	Microphone string `json:"microphone,omitempty"`
	Speaker    string `json:"speaker,omitempty"`
	Line       string `json:"line,omitempty"`
	Note       string `json:"note,omitempty"`
}

func (b *ReportReadiness) check(c *checker) {
	c.optional(b.Point, "point", identityForm)
	for _, v := range []string{b.Camera, b.Microphone, b.Speaker, b.Line} {
		c.oneOf(v, "state", "", "untested", "ok", "bad")
	}
	c.lines(&b.Note, "note", 0, 300)
}

// ownPoint is the point a command is about: the actor, or another for the desk.
func (d *decider) ownPoint(id string) (string, error) {
	if id == "" {
		id = d.actor()
	}
	if id != d.actor() && !desk.allows(d.s, d.cmd.Actor) {
		return "", problem("forbidden")
	}
	return id, d.checkPoint(id)
}

func (b *ReportReadiness) decide(d *decider) error {
	id, err := d.ownPoint(b.Point)
	if err != nil {
		return err
	}
	r := untested()
	if old := d.s.Readiness[id]; old != nil {
		r = old
	}
	pick := func(v, old string) string {
		if v == "" {
			return old
		}
		return v
	}
	d.emit(&ReadinessReported{
		Point: id, Camera: pick(b.Camera, r.Camera), Microphone: pick(b.Microphone, r.Microphone),
		Speaker: pick(b.Speaker, r.Speaker), Line: pick(b.Line, r.Line), Note: b.Note,
	})
	return nil
}

// AskHelp is help.ask, by a point.
type AskHelp struct {
	Text string `json:"text"`
}

func (b *AskHelp) check(c *checker) { c.lines(&b.Text, "text", 1, 500) }

func (b *AskHelp) decide(d *decider) error {
	if r := d.s.Readiness[d.actor()]; r != nil && r.Help == b.Text {
		return problem("nothing_changed")
	}
	d.emit(&HelpAsked{Point: d.actor(), Text: b.Text})
	return nil
}

// CloseHelp is help.close, by the point or the desk.
type CloseHelp struct {
	Point string `json:"point,omitempty"`
}

func (b *CloseHelp) check(c *checker) { c.optional(b.Point, "point", identityForm) }

func (b *CloseHelp) decide(d *decider) error {
	id, err := d.ownPoint(b.Point)
	if err != nil {
		return err
	}
	if r := d.s.Readiness[id]; r != nil && r.Help != "" {
		d.emit(&HelpClosed{Point: id})
	}
	return nil
}

// EnterLobby is lobby.enter, by a guest with a link.
type EnterLobby struct {
	Name string `json:"name"`
}

func (b *EnterLobby) check(c *checker) { c.line(&b.Name, "name", 1, 60) }

func (b *EnterLobby) decide(d *decider) error {
	switch {
	case !isGuest(d.actor()):
		return problem("forbidden")
	case d.me != nil, d.s.Lobby[d.actor()] != nil:
		return problem("nothing_changed")
	case len(d.s.Lobby) >= maxLobby:
		return problem("list_full")
	}
	d.emit(&LobbyEntered{Guest: d.actor(), Name: b.Name})
	return nil
}

// SettleLobby is lobby.settle: a guest who waits is let in or turned away.
type SettleLobby struct {
	Guest string `json:"guest"`
	Admit bool   `json:"admit"`
}

func (b *SettleLobby) check(c *checker) { c.person(b.Guest, "guest") }

func (b *SettleLobby) decide(d *decider) error {
	w := d.s.Lobby[b.Guest]
	if w == nil {
		return problemIn("not_found", "guest")
	}
	if b.Admit && len(d.s.People) >= maxPeople {
		return problem("list_full")
	}
	d.emit(&LobbySettled{Guest: b.Guest, Admitted: b.Admit})
	if b.Admit {
		d.emit(&PeopleInvited{People: []PersonInfo{{ID: b.Guest, Name: w.Name, Role: RoleGuest}}})
	}
	return nil
}

// LeaveLobby is lobby.leave, by the guest, or by the server when the guest is gone.
type LeaveLobby struct {
	Guest string `json:"guest,omitempty"`
}

func (b *LeaveLobby) check(c *checker) { c.optional(b.Guest, "guest", identityForm) }

func (b *LeaveLobby) decide(d *decider) error {
	id := b.Guest
	if id == "" || !isService(d.actor()) {
		id = d.actor()
	}
	if d.s.Lobby[id] != nil {
		d.emit(&LobbySettled{Guest: id})
	}
	return nil
}

// DeviceCommanded is device.commanded, for the point and the desk.
type DeviceCommanded struct {
	Point  string `json:"point"`
	Action string `json:"action"`
	Preset string `json:"preset,omitempty"`
}

func (*DeviceCommanded) kind() string { return "device.commanded" }

func (b *DeviceCommanded) apply(s *State, _ meta) error {
	d := s.Devices[b.Point]
	if d == nil {
		d = &Device{}
		s.Devices[b.Point] = d
	}
	switch b.Action {
	case "mute", "unmute":
		d.Microphone = b.Action
	case "camera_on", "camera_off":
		d.Camera = b.Action
	default:
		d.Preset = b.Preset
	}
	return nil
}

func (b *DeviceCommanded) seen(v *view) Body { return v.deskOr(b.Point, b) }

// deskOr lets a body through to the desk and to the one it is about.
func (v *view) deskOr(id string, b Body) Body {
	if v.desk || v.id == id {
		return b
	}
	return nil
}

// ReadinessReported is ready.reported: a point's tests as they stand, for the
// point and the desk.
type ReadinessReported struct {
	Point      string `json:"point"`
	Camera     string `json:"camera"`
	Microphone string `json:"microphone"`
	Speaker    string `json:"speaker"`
	Line       string `json:"line"`
	Note       string `json:"note,omitempty"`
}

func (*ReadinessReported) kind() string { return "ready.reported" }

func (s *State) readiness(id string) *Readiness {
	r := s.Readiness[id]
	if r == nil {
		r = untested()
		s.Readiness[id] = r
	}
	return r
}

func (b *ReadinessReported) apply(s *State, m meta) error {
	r := s.readiness(b.Point)
	r.Camera, r.Microphone, r.Speaker, r.Line, r.Note, r.At = b.Camera, b.Microphone, b.Speaker, b.Line, b.Note, m.at
	return nil
}

func (b *ReadinessReported) seen(v *view) Body { return v.deskOr(b.Point, b) }

// HelpAsked is help.asked, for the point and the desk.
type HelpAsked struct {
	Point string `json:"point"`
	Text  string `json:"text"`
}

func (*HelpAsked) kind() string { return "help.asked" }

func (b *HelpAsked) apply(s *State, m meta) error {
	r := s.readiness(b.Point)
	r.Help, r.HelpSince = b.Text, m.at
	return nil
}

func (b *HelpAsked) seen(v *view) Body { return v.deskOr(b.Point, b) }

// HelpClosed is help.closed, for the point and the desk.
type HelpClosed struct {
	Point string `json:"point"`
}

func (*HelpClosed) kind() string { return "help.closed" }

func (b *HelpClosed) apply(s *State, _ meta) error {
	r := s.readiness(b.Point)
	r.Help, r.HelpSince = "", time.Time{}
	return nil
}

func (b *HelpClosed) seen(v *view) Body { return v.deskOr(b.Point, b) }

// LobbyEntered is lobby.entered, for the desk and the guest.
type LobbyEntered struct {
	Guest string `json:"guest"`
	Name  string `json:"name"`
}

func (*LobbyEntered) kind() string { return "lobby.entered" }

func (b *LobbyEntered) apply(s *State, m meta) error {
	s.Lobby[b.Guest] = &Waiting{Name: b.Name, Since: m.at}
	return nil
}

func (b *LobbyEntered) seen(v *view) Body { return v.deskOr(b.Guest, b) }

// LobbySettled is lobby.settled: the guest was admitted, turned away, or left.
type LobbySettled struct {
	Guest    string `json:"guest"`
	Admitted bool   `json:"admitted,omitempty"`
}

func (*LobbySettled) kind() string { return "lobby.settled" }

func (b *LobbySettled) apply(s *State, _ meta) error { delete(s.Lobby, b.Guest); return nil }

func (b *LobbySettled) seen(v *view) Body { return v.deskOr(b.Guest, b) }
