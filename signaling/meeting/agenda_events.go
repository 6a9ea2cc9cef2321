package meeting

import "slices"

// AgendaAdded is agenda.added: a new item, and the order of the whole agenda.
type AgendaAdded struct {
	Item  Item     `json:"item"`
	Order []string `json:"order"`
}

func (*AgendaAdded) kind() string { return "agenda.added" }

func (b *AgendaAdded) apply(s *State, _ meta) error {
	it := b.Item
	it.Documents = slices.Clone(it.Documents)
	s.Agenda.Items[it.ID] = &it
	s.Agenda.reorder(b.Order)
	return nil
}

// reorder takes a new order; what is not in it is no longer there, or not for
// this viewer.
func (a *Agenda) reorder(order []string) {
	a.Order = nil
	for _, id := range order {
		if a.Items[id] != nil {
			a.Order = append(a.Order, id)
		}
	}
	for id := range a.Items {
		if !slices.Contains(a.Order, id) {
			delete(a.Items, id)
		}
	}
}

func (b *AgendaAdded) seen(v *view) Body {
	if v.hides(b.Item.ID) {
		return nil
	}
	if v.inner {
		return b
	}
	return &AgendaAdded{Item: b.Item, Order: v.order(b.Order)}
}

// hides says whether the viewer may not see an agenda item.
func (v *view) hides(item string) bool { return !v.inner && v.s.Agenda.concealed(item) }

// order leaves out what the viewer may not see.
func (v *view) order(ids []string) []string {
	out := []string{}
	for _, id := range ids {
		if !v.hides(id) {
			out = append(out, id)
		}
	}
	return out
}

// AgendaEdited is agenda.edited: the item as it now is.
type AgendaEdited struct {
	Item string `json:"item"`
	ItemInfo
}

func (*AgendaEdited) kind() string { return "agenda.edited" }

func (b *AgendaEdited) apply(s *State, _ meta) error {
	it := s.Agenda.Items[b.Item]
	if it == nil {
		return s.lacks("item", b.Item)
	}
	it.ItemInfo = b.ItemInfo
	it.Documents = slices.Clone(b.Documents)
	return nil
}

func (b *AgendaEdited) seen(v *view) Body {
	if v.hides(b.Item) {
		return nil
	}
	return b
}

// AgendaMoved is agenda.moved: where the item now is. Items holds, in what is
// sent to a viewer, what the move brought into sight.
type AgendaMoved struct {
	Item   string   `json:"item"`
	Parent string   `json:"parent,omitempty"`
	Order  []string `json:"order"`
	Shown  bool     `json:"shown,omitempty"` // it was below a hidden item and no longer is
	Items  []Item   `json:"items,omitempty"`
}

func (*AgendaMoved) kind() string { return "agenda.moved" }

func (b *AgendaMoved) apply(s *State, _ meta) error {
	s.Agenda.put(b.Items)
	it := s.Agenda.Items[b.Item]
	if it == nil {
		if err := s.lacks("item", b.Item); err != nil {
			return err
		}
	} else {
		it.Parent = b.Parent
	}
	s.Agenda.reorder(b.Order)
	return nil
}

func (a *Agenda) put(items []Item) {
	for _, it := range items {
		it.Documents = slices.Clone(it.Documents)
		a.Items[it.ID] = &it
	}
}

// seen: a move below a hidden item takes the subtree out of sight.
func (b *AgendaMoved) seen(v *view) Body {
	if v.inner {
		return b
	}
	if v.hides(b.Item) {
		return &AgendaMoved{Order: v.order(b.Order)}
	}
	c := &AgendaMoved{Item: b.Item, Parent: b.Parent, Order: v.order(b.Order)}
	if b.Shown {
		c.Items = v.subtree(b.Item)
	}
	return c
}

// subtree is what comes into sight with an item. What was hidden never began,
// whatever became of it since.
func (v *view) subtree(top string) []Item {
	var out []Item
	for _, id := range v.s.Agenda.Order {
		if v.s.Agenda.within(id, top) && !v.hides(id) {
			it := *v.s.Agenda.Items[id]
			it.State, it.Clock = "planned", Clock{}
			out = append(out, it)
		}
	}
	return out
}

// AgendaRemoved is agenda.removed: the item and what was below it are gone.
type AgendaRemoved struct {
	Item  string   `json:"item,omitempty"`
	Order []string `json:"order"`
}

func (*AgendaRemoved) kind() string { return "agenda.removed" }

func (b *AgendaRemoved) apply(s *State, _ meta) error { s.Agenda.reorder(b.Order); return nil }

func (b *AgendaRemoved) seen(v *view) Body {
	if v.inner {
		return b
	}
	return &AgendaRemoved{Order: v.order(b.Order)}
}

// AgendaHidden is agenda.hidden. To those it is hidden from it is an agenda.removed.
type AgendaHidden struct {
	Item  string   `json:"item"`
	Order []string `json:"order"`
}

func (*AgendaHidden) kind() string { return "agenda.hidden" }

func (b *AgendaHidden) apply(s *State, _ meta) error {
	it := s.Agenda.Items[b.Item]
	if it == nil {
		return s.lacks("item", b.Item)
	}
	it.State = "hidden"
	return nil
}

func (b *AgendaHidden) seen(v *view) Body {
	if v.inner {
		return b
	}
	return &AgendaRemoved{Order: v.order(b.Order)}
}

// AgendaShown is agenda.shown: the item is no longer hidden. Items holds, in what
// is sent to a viewer, what came into sight.
type AgendaShown struct {
	Item  string   `json:"item"`
	Order []string `json:"order"`
	Items []Item   `json:"items,omitempty"`
}

func (*AgendaShown) kind() string { return "agenda.shown" }

func (b *AgendaShown) apply(s *State, _ meta) error {
	s.Agenda.put(b.Items)
	it := s.Agenda.Items[b.Item]
	if it == nil {
		return s.lacks("item", b.Item)
	}
	if it.State == "hidden" {
		it.State = "planned"
	}
	s.Agenda.reorder(b.Order)
	return nil
}

func (b *AgendaShown) seen(v *view) Body {
	if v.inner {
		return b
	}
	if v.hides(b.Item) {
		return nil
	}
	return &AgendaShown{Item: b.Item, Order: v.order(b.Order), Items: v.subtree(b.Item)}
}

// AgendaStarted is agenda.started: the item is dealt with now.
type AgendaStarted struct {
	Item  string `json:"item"`
	Again bool   `json:"again,omitempty"`
}

func (*AgendaStarted) kind() string { return "agenda.started" }

func (b *AgendaStarted) apply(s *State, m meta) error {
	it := s.Agenda.Items[b.Item]
	if it == nil {
		return s.lacks("item", b.Item)
	}
	it.State, s.Agenda.Current = "current", b.Item
	if s.Info.Status == Running {
		it.Clock.start(m.at)
	}
	return nil
}

func (b *AgendaStarted) seen(v *view) Body {
	if v.hides(b.Item) {
		return nil
	}
	return b
}

// AgendaDone is agenda.done: the item is dealt with.
type AgendaDone struct {
	Item string `json:"item"`
}

func (*AgendaDone) kind() string { return "agenda.done" }

func (b *AgendaDone) apply(s *State, m meta) error {
	it := s.Agenda.Items[b.Item]
	if it == nil {
		return s.lacks("item", b.Item)
	}
	it.State = "done"
	it.Clock.stop(m.at)
	if s.Agenda.Current == b.Item {
		s.Agenda.Current = ""
	}
	return nil
}

func (b *AgendaDone) seen(v *view) Body {
	if v.hides(b.Item) {
		return nil
	}
	return b
}
