package meeting

import (
	"slices"
	"strconv"
)

// Agenda is the tree of items (nội dung). Order is the whole tree, parents before
// their children; an item's number follows from it.
type Agenda struct {
	Items   map[string]*Item `json:"items"`
	Order   []string         `json:"order,omitempty"`
	Current string           `json:"current,omitempty"`
}

// ItemInfo is what an agenda item is.
type ItemInfo struct {
	Title     string   `json:"title"`
	Presenter string   `json:"presenter,omitempty"`
	Unit      string   `json:"unit,omitempty"` // in charge
	Minutes   int      `json:"minutes,omitempty"`
	Documents []string `json:"documents,omitempty"`
}

// Item is an agenda item: hidden | planned → current → done.
type Item struct {
	ID     string `json:"id"`
	Parent string `json:"parent,omitempty"`
	ItemInfo
	State string `json:"state"`
	Clock Clock  `json:"clock"`
}

func (b *ItemInfo) checkInfo(c *checker) {
	c.line(&b.Title, "title", 1, 500)
	c.line(&b.Presenter, "presenter", 0, 120)
	c.line(&b.Unit, "unit", 0, 200)
	c.number(b.Minutes, "minutes", 0, 1440)
	c.list(b.Documents, "documents", maxDocuments, refForm)
}

// concealed says whether the item or one above it is hidden.
func (a *Agenda) concealed(id string) bool {
	for n := 0; id != "" && n <= maxItems; n++ {
		it := a.Items[id]
		if it == nil || it.State == "hidden" {
			return true
		}
		id = it.Parent
	}
	return false
}

// within says whether id is top or below it.
func (a *Agenda) within(id, top string) bool {
	for n := 0; id != "" && n <= maxItems; n++ {
		if id == top {
			return true
		}
		it := a.Items[id]
		if it == nil {
			return false
		}
		id = it.Parent
	}
	return false
}

// Numbers gives every item that is not hidden its number: 1, 1.1, 1.2, 2. Hidden
// items have none, so that everybody reads the same numbers.
func (a *Agenda) Numbers() map[string]string {
	out := make(map[string]string, len(a.Order))
	counts := make(map[string]int, len(a.Order))
	for _, id := range a.Order {
		it := a.Items[id]
		if it == nil || a.concealed(id) {
			continue
		}
		counts[it.Parent]++
		n := strconv.Itoa(counts[it.Parent])
		if it.Parent != "" {
			n = out[it.Parent] + "." + n
		}
		out[id] = n
	}
	return out
}

// place returns the order with the subtree of ids put below parent: before the
// sibling named, or last.
func (a *Agenda) place(ids []string, parent, before string) []string {
	rest := slices.DeleteFunc(slices.Clone(a.Order), func(id string) bool { return slices.Contains(ids, id) })
	at := len(rest)
	switch {
	case before != "":
		at = slices.Index(rest, before)
	case parent != "":
		at = slices.Index(rest, parent) + 1
		for at < len(rest) && a.within(rest[at], parent) {
			at++
		}
	}
	return slices.Insert(rest, at, ids...)
}

func (d *decider) checkPlace(parent, before string) error {
	a := &d.s.Agenda
	if parent != "" && a.Items[parent] == nil {
		return problemIn("not_found", "parent")
	}
	if before == "" {
		return nil
	}
	if it := a.Items[before]; it == nil || it.Parent != parent {
		return problemIn("not_found", "before")
	}
	return nil
}

// AddItem is agenda.add. During the session it needs a note.
type AddItem struct {
	ItemInfo
	Parent string `json:"parent,omitempty"`
	Before string `json:"before,omitempty"` // a sibling; empty: last
	Hidden bool   `json:"hidden,omitempty"`
	Note   string `json:"note,omitempty"`
}

func (b *AddItem) check(c *checker) {
	b.checkInfo(c)
	c.optional(b.Parent, "parent", refForm)
	c.optional(b.Before, "before", refForm)
	c.lines(&b.Note, "note", 0, 500)
}

func (b *AddItem) decide(d *decider) error {
	if err := d.unlocked(b.Note); err != nil {
		return err
	}
	if len(d.s.Agenda.Items) >= maxItems {
		return problem("list_full")
	}
	if err := d.checkPlace(b.Parent, b.Before); err != nil {
		return err
	}
	id, state := d.newID("i"), "planned"
	if b.Hidden {
		state = "hidden"
	}
	d.emit(&AgendaAdded{
		Item:  Item{ID: id, Parent: b.Parent, ItemInfo: b.ItemInfo, State: state},
		Order: d.s.Agenda.place([]string{id}, b.Parent, b.Before),
	})
	return nil
}

// EditItem is agenda.edit: the item as it shall be.
type EditItem struct {
	Item string `json:"item"`
	ItemInfo
	Note string `json:"note,omitempty"`
}

func (b *EditItem) check(c *checker) {
	c.match(b.Item, "item", refForm)
	b.checkInfo(c)
	c.lines(&b.Note, "note", 0, 500)
}

func (b *EditItem) decide(d *decider) error {
	if err := d.unlocked(b.Note); err != nil {
		return err
	}
	if d.s.Agenda.Items[b.Item] == nil {
		return problemIn("not_found", "item")
	}
	d.emit(&AgendaEdited{Item: b.Item, ItemInfo: b.ItemInfo})
	return nil
}

// MoveItem is agenda.move: the item and what is below it.
type MoveItem struct {
	Item   string `json:"item"`
	Parent string `json:"parent,omitempty"`
	Before string `json:"before,omitempty"`
	Note   string `json:"note,omitempty"`
}

func (b *MoveItem) check(c *checker) {
	c.match(b.Item, "item", refForm)
	c.optional(b.Parent, "parent", refForm)
	c.optional(b.Before, "before", refForm)
	c.lines(&b.Note, "note", 0, 500)
}

func (b *MoveItem) decide(d *decider) error {
	if err := d.unlocked(b.Note); err != nil {
		return err
	}
	a := &d.s.Agenda
	it := a.Items[b.Item]
	if it == nil {
		return problemIn("not_found", "item")
	}
	if err := d.checkPlace(b.Parent, b.Before); err != nil {
		return err
	}
	if a.within(b.Parent, b.Item) || b.Before == b.Item {
		return problemIn("bad_value", "parent")
	}
	into := b.Parent != "" && a.concealed(b.Parent)
	var moved []string
	for _, id := range a.Order {
		if !a.within(id, b.Item) {
			continue
		}
		if st := a.Items[id].State; into && (st == "current" || st == "done") {
			return problemIn("item_hidden", "parent")
		}
		moved = append(moved, id)
	}
	order := a.place(moved, b.Parent, b.Before)
	if slices.Equal(order, a.Order) && b.Parent == it.Parent {
		return problem("nothing_changed")
	}
	shown := a.concealed(b.Item) && it.State != "hidden" && (b.Parent == "" || !a.concealed(b.Parent))
	d.emit(&AgendaMoved{Item: b.Item, Parent: b.Parent, Order: order, Shown: shown})
	return nil
}

// ItemCommand is the body of the commands that name an agenda item only.
type ItemCommand struct {
	Item string `json:"item"`
	Note string `json:"note,omitempty"`
}

func (b *ItemCommand) check(c *checker) {
	c.match(b.Item, "item", refForm)
	c.lines(&b.Note, "note", 0, 500)
}

func (b *ItemCommand) item(d *decider) (*Item, error) {
	it := d.s.Agenda.Items[b.Item]
	if it == nil {
		return nil, problemIn("not_found", "item")
	}
	return it, nil
}

// RemoveItem is agenda.remove: the item and what is below it, none of it begun.
type RemoveItem struct{ ItemCommand }

func (b *RemoveItem) decide(d *decider) error {
	if err := d.unlocked(b.Note); err != nil {
		return err
	}
	if _, err := b.item(d); err != nil {
		return err
	}
	a := &d.s.Agenda
	order := []string{}
	for _, id := range a.Order {
		if !a.within(id, b.Item) {
			order = append(order, id)
		} else if st := a.Items[id].State; st == "current" || st == "done" {
			return problem("wrong_state")
		}
	}
	d.emit(&AgendaRemoved{Item: b.Item, Order: order})
	return nil
}

// HideItem is agenda.hide: the item, and what is below it, is for the chairs and
// secretaries only.
type HideItem struct{ ItemCommand }

func (b *HideItem) decide(d *decider) error {
	if err := d.conducting(); err != nil {
		return err
	}
	if _, err := b.item(d); err != nil {
		return err
	}
	a := &d.s.Agenda
	for id, it := range a.Items {
		if a.within(id, b.Item) && (it.State == "current" || it.State == "done") {
			return problem("wrong_state")
		}
	}
	if a.Items[b.Item].State == "hidden" {
		return problem("nothing_changed")
	}
	d.emit(&AgendaHidden{Item: b.Item, Order: slices.Clone(a.Order)})
	return nil
}

// conducting: once the session runs, what is seen is for those who conduct it.
func (d *decider) conducting() error {
	if st := d.s.Info.Status; (st == Running || st == Paused) && !conductors.allows(d.s, d.cmd.Actor) {
		return problem("locked")
	}
	return nil
}

// ShowItem is agenda.show.
type ShowItem struct{ ItemCommand }

func (b *ShowItem) decide(d *decider) error {
	if err := d.conducting(); err != nil {
		return err
	}
	it, err := b.item(d)
	if err != nil {
		return err
	}
	if it.State != "hidden" {
		return problem("nothing_changed")
	}
	d.emit(&AgendaShown{Item: b.Item, Order: slices.Clone(d.s.Agenda.Order)})
	return nil
}

// StartItem is agenda.start: the item is dealt with now; the one before is done.
// A done item is started again by the presiding chair only.
type StartItem struct{ ItemCommand }

func (b *StartItem) decide(d *decider) error {
	it, err := b.item(d)
	if err != nil {
		return err
	}
	a := &d.s.Agenda
	switch {
	case it.State == "current":
		return problem("nothing_changed")
	case it.State == "done" && !d.presiding():
		return problem("forbidden")
	case it.Parent != "" && a.concealed(it.Parent):
		return problem("item_hidden")
	}
	if it.State == "hidden" {
		d.emit(&AgendaShown{Item: b.Item, Order: slices.Clone(a.Order)})
	}
	if a.Current != "" {
		d.emit(&AgendaDone{Item: a.Current})
	}
	d.emit(&AgendaStarted{Item: b.Item, Again: it.State == "done"})
	return nil
}

// FinishItem is agenda.finish.
type FinishItem struct{ ItemCommand }

func (b *FinishItem) decide(d *decider) error {
	it, err := b.item(d)
	if err != nil {
		return err
	}
	if it.State != "current" {
		return problem("wrong_state")
	}
	d.emit(&AgendaDone{Item: b.Item})
	return nil
}
