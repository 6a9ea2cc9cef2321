package office

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"diemcau/signaling/account"
	"diemcau/signaling/directory"
	"diemcau/signaling/live"
	"diemcau/signaling/meeting"
)

// What a demonstration has.
const (
	DemoPassword = "diemcau-demo-2026" //nolint:gosec // G101: public on purpose, with --demo only
	DemoMeeting  = "hop-giao-ban-thang"
	demoSeed     = 2026
	demoRoot     = "LG"
)

// ErrNotDemo reports that a store has data of its own.
var ErrNotDemo = errors.New("office: the store has data that is not the demonstration's; use another data directory")

// DemoAccount is somebody to sign in as.
type DemoAccount struct{ Login, Vi, En string }

// DemoAccounts lists one account of each role.
func DemoAccounts() []DemoAccount {
	return []DemoAccount{
		{"quantri", "Quản trị viên", "administrator"}, {"chutoa", "Chủ tọa", "chair"}, {"thuky", "Thư ký", "secretary"},
		{"kythuat", "Kỹ thuật", "operator"}, {"daibieu01", "Đại biểu", "delegate"}, {"khachmoi", "Khách mời", "guest"},
		{"duthinh", "Dự thính", "observer"},
	}
}

// demo makes what is not there yet of the demonstration, so that a start that was
// interrupted goes on.
func (f *Office) demo(ctx context.Context) error {
	units, err := f.directory.Units(ctx)
	if err != nil {
		return fmt.Errorf("office: %w", err)
	}
	if len(units) > 0 && units[0].Code != demoRoot {
		return ErrNotDemo
	}
	data := directory.Demo(demoSeed)
	if err := directory.Seed(ctx, f.db, data); err != nil {
		return fmt.Errorf("office: %w", err)
	}
	if err := f.demoPasswords(ctx, data); err != nil {
		return fmt.Errorf("office: demo: %w", err)
	}
	if err := f.demoMeeting(ctx); err != nil {
		return fmt.Errorf("office: demo: %w", err)
	}
	return nil
}

// demoPasswords gives those of the demo users who have no password the known
// one. It is hashed once: 245 hashes would take half a minute, and there is
// nothing to hide in this one.
func (f *Office) demoPasswords(ctx context.Context, data directory.Data) error {
	first, err := f.directory.UserByLogin(ctx, data.Users[0].Login)
	if err != nil {
		return err
	}
	var n int
	if err := f.db.QueryRow(ctx, `SELECT count(*) FROM account_passwords WHERE user_id = $1`, first.ID).Scan(&n); err != nil {
		return err
	}
	if n == 0 {
		user := account.User{ID: first.ID, Login: first.Login, Name: first.FullName, Unit: first.UnitID, Enabled: true}
		if err := f.accounts.SetPassword(ctx, user, DemoPassword, false); err != nil {
			return err
		}
	}
	return f.db.Write(ctx, func(tx *sql.Tx) error {
		for _, u := range data.Users[1:] {
			// The mail address is the demonstration's own, so that no user who was
			// added since, of whatever login, gets a password that everybody knows.
			_, err := tx.ExecContext(ctx, `INSERT INTO account_passwords (user_id, hash, changed, must_change)
				SELECT u.id, p.hash, p.changed, p.must_change FROM users u JOIN account_passwords p ON p.user_id = $1
				WHERE u.login = $2 AND u.mail = $3 ON CONFLICT DO NOTHING`, first.ID, u.Login, u.Mail)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// demoMeeting makes an approved meeting by the commands that people would give.
func (f *Office) demoMeeting(ctx context.Context) error {
	status := meeting.None
	err := f.hub.Look(ctx, DemoMeeting, func(s *meeting.State) { status = s.Info.Status })
	if err != nil && !errors.Is(err, live.ErrNoMeeting) {
		return err
	}
	if status != meeting.None && status != meeting.Draft && status != meeting.Submitted {
		return nil
	}
	root, err := f.directory.UnitByCode(ctx, demoRoot)
	if err != nil {
		return err
	}
	secretary, err := f.demoActor(ctx, "thuky", root.ID)
	if err != nil {
		return err
	}
	chair, err := f.demoActor(ctx, "chutoa", root.ID)
	if err != nil {
		return err
	}
	invited, err := f.demoPeople(ctx)
	if err != nil {
		return err
	}
	begin := f.o.Now().UTC().Truncate(time.Hour).Add(time.Hour)
	commands := []struct {
		by   meeting.Actor
		kind string
		body any
	}{
		{secretary, "meeting.create", meeting.CreateMeeting{Details: meeting.Details{
			Title: "Họp giao ban tháng của Ủy ban nhân dân tỉnh", Kind: "Họp giao ban", Unit: root.ID,
			Place: "Hội trường Ủy ban nhân dân tỉnh và các điểm cầu", PlannedStart: begin, PlannedEnd: begin.Add(150 * time.Minute),
			Rules: meeting.Rules{SelfCheckIn: true, PointCameras: true},
		}}},
		{secretary, "person.invite", meeting.InvitePeople{People: invited}},
		{secretary, "agenda.add", meeting.AddItem{ItemInfo: meeting.ItemInfo{
			Title: "Tình hình kinh tế - xã hội trong tháng, nhiệm vụ tháng tới", Presenter: "Lãnh đạo Sở Tài chính", Unit: "Sở Tài chính", Minutes: 45}}},
		{secretary, "agenda.add", meeting.AddItem{ItemInfo: meeting.ItemInfo{
			Title: "Phương án phòng, chống thiên tai và tìm kiếm cứu nạn mùa mưa bão", Presenter: "Lãnh đạo Sở Nông nghiệp và Môi trường", Unit: "Sở Nông nghiệp và Môi trường", Minutes: 40}}},
		{secretary, "agenda.add", meeting.AddItem{ItemInfo: meeting.ItemInfo{
			Title: "Cho ý kiến về kế hoạch chuyển đổi số cấp xã; biểu quyết thông qua", Presenter: "Lãnh đạo Sở Khoa học và Công nghệ", Unit: "Sở Khoa học và Công nghệ", Minutes: 50}}},
		{secretary, "meeting.submit", meeting.SubmitMeeting{}},
		{chair, "meeting.approve", meeting.ApproveMeeting{}},
	}
	for i, c := range commands {
		body, err := json.Marshal(c.body)
		if err != nil {
			return err
		}
		_, err = f.hub.Apply(ctx, DemoMeeting, meeting.Command{ID: fmt.Sprintf("demo-%d", i+1), Type: c.kind, Actor: c.by, Body: body})
		var p *meeting.Problem
		if errors.As(err, &p) && p.Code == "already_applied" {
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", c.kind, err)
		}
	}
	return nil
}

func (f *Office) demoActor(ctx context.Context, login, unit string) (meeting.Actor, error) {
	u, err := f.directory.UserByLogin(ctx, login)
	if err != nil {
		return meeting.Actor{}, fmt.Errorf("%s: %w", login, err)
	}
	id := "user:" + u.ID
	permissions, err := people{f.directory}.Permissions(ctx, id, unit)
	return meeting.Actor{ID: id, Name: u.FullName, Unit: u.UnitID, Permissions: permissions}, err
}

// demoPeople are the chair, the secretary, the operator, the guest and the
// observer, all delegates, who vote, and all points.
func (f *Office) demoPeople(ctx context.Context) ([]meeting.PersonInfo, error) {
	var list []meeting.PersonInfo
	add := func(identity string, role meeting.Role, votes bool) error {
		info, err := people{f.directory}.Person(ctx, identity)
		info.Role, info.Voting = role, votes
		list = append(list, info)
		return err
	}
	for _, p := range []struct {
		login string
		role  meeting.Role
		votes bool
	}{
		{"chutoa", meeting.RoleChair, true}, {"chutoa2", meeting.RoleChair, true}, {"thuky", meeting.RoleSecretary, false},
		{"kythuat", meeting.RoleOperator, false}, {"khachmoi", meeting.RoleGuest, false}, {"duthinh", meeting.RoleObserver, false},
	} {
		u, err := f.directory.UserByLogin(ctx, p.login)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.login, err)
		}
		if err := add("user:"+u.ID, p.role, p.votes); err != nil {
			return nil, err
		}
	}
	for q := (directory.Query{Role: directory.Delegate, Limit: directory.MaxPage}); ; {
		page, err := f.directory.SearchUsers(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, u := range page.Items {
			if err := add("user:"+u.ID, meeting.RoleDelegate, true); err != nil {
				return nil, err
			}
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			break
		}
	}
	for q := (directory.Query{Limit: directory.MaxPage}); ; {
		page, err := f.directory.SearchPoints(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, p := range page.Items {
			if err := add("point:"+p.ID, meeting.RolePoint, false); err != nil {
				return nil, err
			}
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			return list, nil
		}
	}
}
