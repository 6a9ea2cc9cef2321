package directory

// Assignment says that a user holds a role in a unit and everything below it.
type Assignment struct {
	UserID string `json:"userId"`
	Role   Role   `json:"role"`
	UnitID string `json:"unitId"`
}

// Override changes what a role may do in a unit and everything below it, until
// a nearer override of the same role and permission says otherwise.
type Override struct {
	UnitID     string     `json:"unitId"`
	Role       Role       `json:"role"`
	Permission Permission `json:"permission"`
	Allow      bool       `json:"allow"`
	Version    int64      `json:"version"`
}

// Permits reports whether one user may do p in a unit. assignments are the
// user's, ancestors are the ids of the unit itself, its parent, and so on up to
// the root. Entries of other units, and an unknown permission, count for nothing.
//
//   - A role counts if it was given in one of the ancestors.
//   - For each such role the override nearest to the unit decides, wherever the
//     role itself was given; at equal distance a denial wins. Without an
//     override the preset decides.
//   - One permitting role suffices: a denial to one role takes nothing from
//     another.
//   - What must stay with administrators at the root cannot be denied there.
func Permits(assignments []Assignment, overrides []Override, ancestors []string, p Permission) bool {
	if !p.Valid() {
		return false
	}
	distance := make(map[string]int, len(ancestors))
	for i, id := range ancestors {
		if _, seen := distance[id]; !seen {
			distance[id] = i
		}
	}
	for _, a := range assignments {
		if _, holds := distance[a.UnitID]; holds && a.Role.Valid() && roleMay(a.Role, overrides, distance, p) {
			return true
		}
	}
	return false
}

func roleMay(r Role, overrides []Override, distance map[string]int, p Permission) bool {
	may, nearest := presets[r][p], -1
	for _, o := range overrides {
		at, ok := distance[o.UnitID]
		if !ok || o.Role != r || o.Permission != p {
			continue
		}
		if !o.Allow && at == len(distance)-1 && keptAtRoot(r, p) {
			continue
		}
		switch {
		case nearest < 0 || at < nearest:
			nearest, may = at, o.Allow
		case at == nearest:
			may = may && o.Allow
		}
	}
	return may
}
