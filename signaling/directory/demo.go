package directory

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"

	"diemcau/signaling/store"
)

const demoDelegates = 90

// Data is a whole directory in memory. Entries have no ids yet: they refer to
// each other by code (units), name (positions) and login (users).
type Data struct {
	Units     []Unit // ParentID holds the parent's code; parents go first
	Positions []Position
	Points    []Point      // UnitID holds the unit's code
	Users     []User       // UnitID holds the unit's code, PositionID the position's name
	Roles     []Assignment // UserID holds the login, UnitID the unit's code
}

// Demo makes the demo province: 215 points (83 rooms of agencies and areas,
// 132 communes and wards) with technicians, and the people of a session. The
// same seed gives the same province; units, codes and logins are the same for
// every seed, people's names differ.
func Demo(seed uint64) Data {
	m := demoMaker{random: rand.New(rand.NewPCG(seed, 0x6469656d636175))} //nolint:gosec // G404: invented names, not secrets
	for i, name := range demoPositions {
		m.Positions = append(m.Positions, Position{Name: name, SortOrder: i + 1})
	}
	m.unit("LG", "", "Tỉnh "+demoProvince, demoProvince, "Tỉnh")
	for _, b := range demoBlocks {
		m.unit(b.code, "LG", b.name, "", "Khối")
		for _, a := range b.agencies {
			m.unit(a.code, b.code, a.name, a.short, a.kind)
			m.point("DC-"+a.code, a.code, "Phòng họp "+a.name, a.place, RoomDevice)
		}
	}
	for i, u := range []string{"TU", "HDND", "UBND"} {
		m.point("DC-"+u+"-HT", u, []string{"Hội trường Tỉnh ủy", "Hội trường Hội đồng nhân dân tỉnh", "Hội trường Ủy ban nhân dân tỉnh"}[i], "Tầng 2", RoomDevice)
	}
	m.unit("XP", "LG", "Xã, phường", "", "Khối")
	for _, a := range demoAreas {
		m.unit(a.code, "XP", "Khu vực "+a.name, a.name, "Khu vực")
		m.point("DC-"+a.code, a.code, "Phòng họp khu vực "+a.name, "Trụ sở cũ của huyện, nay do khu vực "+a.name+" dùng", RoomDevice)
	}
	for _, a := range demoAreas {
		for i, c := range a.communes {
			m.commune(a.code, fmt.Sprintf("%s-%02d", strings.Replace(a.code, "KV", "X", 1), i+1), c)
		}
	}
	m.people()
	return m.Data
}

type demoMaker struct {
	Data
	random *rand.Rand
}

func (m *demoMaker) unit(code, parent, name, short, kind string) {
	m.Units = append(m.Units, Unit{Code: code, ParentID: parent, Name: name, ShortName: short, Kind: kind, SortOrder: len(m.Units) + 1})
}

func (m *demoMaker) point(code, unit, name, place string, kind PointKind) {
	m.Points = append(m.Points, Point{
		Code: code, UnitID: unit, Name: name, Place: place, Kind: kind,
		Technician: m.name(), TechPhone: m.phone(), Enabled: true,
	})
}

func (m *demoMaker) commune(area, code, name string) {
	kind, position := "Xã", "Chủ tịch Ủy ban nhân dân xã"
	if ward, ok := strings.CutPrefix(name, "P."); ok {
		kind, name, position = "Phường", ward, "Chủ tịch Ủy ban nhân dân phường"
	}
	title := kind + " " + name
	m.unit(code, area, title, name, kind)
	device := Laptop
	switch m.random.IntN(10) {
	case 0, 1, 2:
		device = RoomDevice
	case 3:
		device = Phone
	}
	m.point("DC-"+code, code, "Điểm cầu "+strings.ToLower(kind)+" "+name, "Trụ sở Ủy ban nhân dân "+strings.ToLower(kind)+" "+name, device)
	// Each commune has someone who prepares its own meetings.
	m.user("xa"+strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(code, "X"), "-", "")), code, position, Secretary, code)
}

// people are those of a session of the whole province.
func (m *demoMaker) people() {
	m.user("quantri", "TTCNTT", "Trưởng phòng", Administrator, "LG")
	m.user("quantri2", "TTCNTT", "Chuyên viên", Administrator, "LG")
	m.user("chutoa", "HDND", "Chủ tịch Hội đồng nhân dân tỉnh", Chair, "LG")
	m.user("chutoa2", "UBND", "Chủ tịch Ủy ban nhân dân tỉnh", Chair, "LG")
	m.user("chutoa3", "UBND", "Phó Chủ tịch Ủy ban nhân dân tỉnh", Chair, "LG")
	m.user("thuky", "HDND", "Chánh Văn phòng", Secretary, "LG")
	for i, unit := range []string{"HDND", "UBND", "TU", "SNV", "STC"} {
		m.user(fmt.Sprintf("thuky%d", i+2), unit, "Chuyên viên", Secretary, unit)
	}
	m.user("kythuat", "TTCNTT", "Kỹ thuật viên", Operator, "LG")
	m.user("kythuat2", "TTCNTT", "Kỹ thuật viên", Operator, "LG")
	m.user("khachmoi", "BAO", "Phóng viên", Guest, "LG")
	m.user("duthinh", "BNC", "Phó Trưởng ban", Observer, "LG")

	// Delegates come from agencies and communes in turn.
	var agencies, communes []Unit
	for _, u := range m.Units {
		switch u.Kind {
		case "Xã", "Phường":
			communes = append(communes, u)
		case "Tỉnh", "Khối", "Khu vực":
		default:
			agencies = append(agencies, u)
		}
	}
	for i := range demoDelegates {
		u, position := agencies[i/2%len(agencies)], "Giám đốc"
		switch {
		case i%2 == 1:
			u, position = communes[i/2*len(communes)/(demoDelegates/2)], "Chủ tịch Ủy ban nhân dân xã"
			if u.Kind == "Phường" {
				position = "Chủ tịch Ủy ban nhân dân phường"
			}
		case u.Kind == "Ban Đảng":
			position = "Trưởng ban"
		case u.Kind == "Văn phòng":
			position = "Phó Chánh Văn phòng"
		}
		m.user(fmt.Sprintf("daibieu%02d", i+1), u.Code, position, Delegate, "LG")
	}
}

func (m *demoMaker) user(login, unit, position string, role Role, in string) {
	m.Users = append(m.Users, User{
		Login: login, FullName: m.name(), Mail: login + "@lamgiang.example", Phone: m.phone(),
		PositionID: position, UnitID: unit, Enabled: true,
	})
	m.Roles = append(m.Roles, Assignment{UserID: login, Role: role, UnitID: in})
}

func (m *demoMaker) name() string {
	pick := func(list []string) string { return list[m.random.IntN(len(list))] }
	g := 0
	if m.random.IntN(5) < 2 {
		g = 1
	}
	for {
		family, middle, given := pick(demoFamilies), pick(demoMiddles[g]), pick(demoGivens[g])
		if family != middle && !strings.HasSuffix(middle, given) && family != given {
			return family + " " + middle + " " + given
		}
	}
}

func (m *demoMaker) phone() string {
	prefixes := []string{"091", "094", "098", "097", "096", "086", "090", "093", "088", "038"}
	return fmt.Sprintf("%s%d %03d %03d", prefixes[m.random.IntN(len(prefixes))], m.random.IntN(10), m.random.IntN(1000), m.random.IntN(1000))
}

// Seed writes data in one transaction, or does nothing if there are units
// already, so that it may be called at every start.
func Seed(ctx context.Context, db *store.DB, data Data) error {
	d := New(db)
	return d.write(ctx, "code", func(tx txReader) error {
		n, err := count(ctx, tx, "SELECT count(*) FROM units")
		if err != nil {
			return err
		}
		if n > 0 {
			return nil
		}
		return (&seeder{d: d, tx: tx, ids: map[string]string{}}).write(ctx, data)
	})
}

// seeder gives ids; keys are prefixed by the kind of entry.
type seeder struct {
	d   *Directory
	tx  txReader
	ids map[string]string
}

func (s *seeder) id(kind, key string) (string, error) {
	if key == "" {
		return "", nil
	}
	id, ok := s.ids[kind+key]
	if !ok {
		return "", fmt.Errorf("directory: seed: no %s %q", kind, key)
	}
	return id, nil
}

func (s *seeder) give(kind, key string) string {
	id := newID()
	s.ids[kind+key] = id
	return id
}

func (s *seeder) write(ctx context.Context, data Data) (err error) {
	for _, u := range data.Units {
		if err := u.clean(); err != nil {
			return err
		}
		if u.ParentID, err = s.id("unit", u.ParentID); err != nil {
			return err
		}
		u.ID = s.give("unit", u.Code)
		if err := s.d.insertUnit(ctx, s.tx, &u); err != nil {
			return err
		}
	}
	for _, p := range data.Positions {
		if err := p.clean(); err != nil {
			return err
		}
		p.ID = s.give("position", p.Name)
		if err := s.d.insertPosition(ctx, s.tx, &p); err != nil {
			return err
		}
	}
	for _, p := range data.Points {
		if err := p.clean(); err != nil {
			return err
		}
		if p.UnitID, err = s.id("unit", p.UnitID); err != nil {
			return err
		}
		p.ID = newID()
		if err := s.d.insertPoint(ctx, s.tx, &p); err != nil {
			return err
		}
	}
	return s.users(ctx, data)
}

func (s *seeder) users(ctx context.Context, data Data) (err error) {
	for _, u := range data.Users {
		if err := u.clean(); err != nil {
			return err
		}
		if u.UnitID, err = s.id("unit", u.UnitID); err != nil {
			return err
		}
		if u.PositionID, err = s.id("position", u.PositionID); err != nil {
			return err
		}
		u.ID = s.give("user", u.Login)
		if err := s.d.insertUser(ctx, s.tx, &u); err != nil {
			return err
		}
	}
	for _, a := range data.Roles {
		user, err := s.id("user", a.UserID)
		if err != nil {
			return err
		}
		unit, err := s.id("unit", a.UnitID)
		if err != nil {
			return err
		}
		if err := writeRoles(ctx, s.tx, user, nil, []RoleIn{{a.Role, unit}}); err != nil {
			return err
		}
	}
	return nil
}
