package conference

import (
	"context"
	"database/sql"
	"fmt"
	"sync"

	"diemcau/signaling/account"
	"diemcau/signaling/meeting"
)

// town is the directory: users, points, and what they may do.
type town struct {
	mu     sync.Mutex
	people map[string]meeting.PersonInfo    // guarded by mu
	rights map[string]meeting.PermissionSet // guarded by mu: by identity and unit
	units  map[string]string                // guarded by mu
}

func (d *town) add(id, name, unit, position string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.people[id] = meeting.PersonInfo{ID: id, Name: name, Unit: unit, Position: position}
}

func (d *town) may(id, unit string, ps ...meeting.Permission) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rights[id+" "+unit] = meeting.Permissions(ps...)
}

func (d *town) Person(_ context.Context, id string) (meeting.PersonInfo, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, ok := d.people[id]
	if !ok {
		return p, fmt.Errorf("person %q: %w", id, sql.ErrNoRows)
	}
	return p, nil
}

func (d *town) Permissions(_ context.Context, id, unit string) (meeting.PermissionSet, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rights[id+" "+unit], nil
}

func (d *town) UnitName(_ context.Context, id string) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if name, ok := d.units[id]; ok {
		return name, nil
	}
	return "", sql.ErrNoRows
}

func (d *town) ByLogin(ctx context.Context, login string) (account.User, error) {
	return d.ByID(ctx, login)
}

func (d *town) ByID(_ context.Context, id string) (account.User, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, ok := d.people["user:"+id]
	if !ok {
		return account.User{}, account.ErrNoUser
	}
	return account.User{ID: id, Login: id, Name: p.Name, Unit: p.Unit, Enabled: true}, nil
}

func (d *town) FromClaims(context.Context, account.Claims) (account.User, error) {
	return account.User{}, account.ErrNoUser
}

func (d *town) Point(context.Context, string) (account.Point, error) {
	return account.Point{}, account.ErrNoPoint
}

func (d *town) Allows(context.Context, account.Principal, string, string) (bool, error) {
	return false, nil
}

func (d *town) Outranks(context.Context, account.Principal, string) (bool, error) { return false, nil }
