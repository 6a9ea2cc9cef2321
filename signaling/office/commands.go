package office

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"diemcau/signaling/account"
	"diemcau/signaling/audit"
	"diemcau/signaling/directory"
	"diemcau/signaling/journal"
	"diemcau/signaling/store"
)

// ErrAdministrator reports that there is an administrator already.
var ErrAdministrator = errors.New("office: there is an administrator already; force makes another")

// ErrDamaged reports that the journal is not what was written.
var ErrDamaged = errors.New("office: the journal is damaged")

// rootCode is the unit that the first administrator belongs to, made where there
// is none; it can be renamed.
const rootCode = "GOC"

// NewAdministrator is what CreateAdministrator makes.
type NewAdministrator struct {
	Login, Name, Password string
	Force                 bool // also where there is one: for who has lost all accounts
}

// CreateAdministrator makes an administrator of everything, or, with Force, gives
// the user of this login the role and the password. It may run beside the
// server. Without units it makes the root.
func CreateAdministrator(ctx context.Context, databaseURL, dataDir string, n NewAdministrator, log *slog.Logger) error {
	db, err := store.Open(ctx, databaseURL)
	if err != nil {
		return fmt.Errorf("office: %w", err)
	}
	defer db.Close()
	d := directory.New(db)
	if !n.Force {
		existing, err := administrators(ctx, d)
		if err != nil {
			return err
		}
		if existing > 0 {
			return ErrAdministrator
		}
	}
	key, err := account.LoadKey(filepath.Join(dataDir, "account.key"))
	if err != nil {
		return fmt.Errorf("office: %w", err)
	}
	accounts, err := account.New(ctx, account.Options{DB: db, Users: &users{db: db, directory: d, log: log}, Points: points{d},
		Access: &access{directory: d}, Key: key, Log: log})
	if err != nil {
		return fmt.Errorf("office: %w", err)
	}
	user, err := makeAdministrator(ctx, d, accounts, n)
	if err != nil {
		return fmt.Errorf("office: %w", err)
	}
	lines, err := audit.Start(audit.Options{DB: db, Log: log})
	if err != nil {
		return err
	}
	defer lines.Close()
	lines.Write(ctx, audit.Record{Who: "svc:command", Action: "administrator.create", Object: "user:" + user.ID, Result: audit.OK,
		Detail: fmt.Sprintf("login %s, force %t", user.Login, n.Force)})
	return nil
}

func administrators(ctx context.Context, d *directory.Directory) (int, error) {
	enabled := true
	page, err := d.SearchUsers(ctx, directory.Query{Role: directory.Administrator, Enabled: &enabled, Limit: 1})
	if err != nil {
		return 0, fmt.Errorf("office: %w", err)
	}
	return len(page.Items), nil
}

// makeAdministrator gives the role last: a password that is refused leaves nobody
// with rights.
func makeAdministrator(ctx context.Context, d *directory.Directory, accounts *account.Service, n NewAdministrator) (directory.User, error) {
	root, err := rootUnit(ctx, d)
	if err != nil {
		return directory.User{}, err
	}
	u, err := d.UserByLogin(ctx, n.Login)
	if errors.Is(err, directory.ErrNotFound) {
		u, err = d.CreateUser(ctx, directory.User{Login: n.Login, FullName: n.Name, UnitID: root.ID, Enabled: true})
	}
	if err != nil {
		return u, err
	}
	if !u.Enabled {
		u.Enabled = true
		if u, err = d.UpdateUser(ctx, u); err != nil {
			return u, err
		}
	}
	err = accounts.SetPassword(ctx, account.User{ID: u.ID, Login: u.Login, Name: u.FullName, Unit: u.UnitID, Enabled: true}, n.Password, false)
	if err != nil {
		return u, err
	}
	return u, d.Assign(ctx, directory.Assignment{UserID: u.ID, Role: directory.Administrator, UnitID: root.ID})
}

func rootUnit(ctx context.Context, d *directory.Directory) (directory.Unit, error) {
	units, err := d.Units(ctx)
	if err != nil {
		return directory.Unit{}, err
	}
	if len(units) > 0 {
		return units[0], nil
	}
	return d.CreateUnit(ctx, directory.Unit{Code: rootCode, Name: "Đơn vị gốc"})
}

// ListUsers prints the users, a line each: login, name, unit, roles.
func ListUsers(ctx context.Context, databaseURL string, w io.Writer) error {
	db, err := store.Open(ctx, databaseURL)
	if err != nil {
		return fmt.Errorf("office: %w", err)
	}
	defer db.Close()
	d := directory.New(db)
	units, err := d.Units(ctx)
	if err != nil {
		return fmt.Errorf("office: %w", err)
	}
	codes := map[string]string{}
	for _, u := range units {
		codes[u.ID] = u.Code
	}
	out := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for q := (directory.Query{Limit: directory.MaxPage}); ; {
		page, err := d.SearchUsers(ctx, q)
		if err != nil {
			return fmt.Errorf("office: %w", err)
		}
		for _, u := range page.Items {
			held, err := d.Assignments(ctx, u.ID)
			if err != nil {
				return fmt.Errorf("office: %w", err)
			}
			roles := make([]string, 0, len(held)+1)
			for _, h := range held {
				roles = append(roles, string(h.Role)+"@"+codes[h.UnitID])
			}
			if !u.Enabled {
				roles = append(roles, "disabled")
			}
			fmt.Fprintf(out, "%s\t%s\t%s\t%s\n", u.Login, u.FullName, codes[u.UnitID], strings.Join(roles, " "))
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			break
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("office: %w", err)
	}
	return nil
}

// VerifyJournal prints what journal.Verify finds, in Vietnamese for "vi", else in
// English. ErrDamaged says that it found something. It may run beside the server.
func VerifyJournal(ctx context.Context, databaseURL, dataDir, lang string, w io.Writer) error {
	db, err := store.OpenExisting(ctx, databaseURL)
	if err != nil {
		return fmt.Errorf("office: %w", err)
	}
	defer db.Close()
	// The heads are read first: entries that come meanwhile are behind them.
	heads, err := journal.ReadHeads(dataDir)
	if errors.Is(err, fs.ErrNotExist) {
		heads, err = nil, nil
	}
	if err != nil {
		return fmt.Errorf("office: %w", err)
	}
	report, err := journal.Verify(ctx, db, heads)
	if err != nil {
		return fmt.Errorf("office: %w", err)
	}
	language := journal.English
	if strings.HasPrefix(lang, "vi") {
		language = journal.Vietnamese
	}
	if err := report.Print(w, language); err != nil {
		return fmt.Errorf("office: %w", err)
	}
	if !report.OK() {
		return ErrDamaged
	}
	return nil
}

// Backup writes a consistent picture of the database to path, which must not be
// there, while the server goes on, also one of an earlier version.
func Backup(ctx context.Context, databaseURL, path string, w io.Writer) error {
	db, err := store.OpenExisting(ctx, databaseURL)
	if err != nil {
		return fmt.Errorf("office: %w", err)
	}
	defer db.Close()
	if err := db.Backup(ctx, path); err != nil {
		return fmt.Errorf("office: %w", err)
	}
	fmt.Fprintln(w, path)
	return nil
}

// Restore puts the backup at path into an empty database. It is refused while the
// server of this data directory runs. The keys in there are not in the backup: see the
// package comment. Nobody is signed in afterwards, but the devices of points: sessions
// that were ended since the backup was made must not be good again. Where the signed heads know more than the backup has, as they do of
// meetings that went on after it was made, it says so: the server does not open those
// meetings before the heads are put aside.
func Restore(ctx context.Context, path string, at Place, w io.Writer) error {
	unlock, err := journal.Lock(at.DataDir)
	switch {
	case err == nil:
		defer unlock()
	case !errors.Is(err, fs.ErrNotExist): // without a directory there is no server
		return fmt.Errorf("office: %w", err)
	}
	if err := store.Restore(ctx, path, at.DatabaseURL); err != nil {
		return fmt.Errorf("office: %w", err)
	}
	if err := signOut(ctx, at.DatabaseURL); err != nil {
		return fmt.Errorf("office: restored, but nobody was signed out: %w", err)
	}
	fmt.Fprintln(w, path)
	var report strings.Builder
	err = VerifyJournal(ctx, at.DatabaseURL, at.DataDir, "vi", &report)
	if errors.Is(err, ErrDamaged) {
		fmt.Fprintf(w, "%sBản sao lưu không khớp với %s trong thư mục dữ liệu: các phiên họp nêu trên sẽ không mở được.\n"+
			"Nếu đây đúng là bản cần khôi phục, hãy cất riêng tệp %s (không xóa) rồi mới khởi động máy chủ.\n",
			report.String(), journal.HeadsFile, journal.HeadsFile)
		return nil
	}
	return err
}

// signOut ends the sessions of users and guests.
func signOut(ctx context.Context, databaseURL string) error {
	db, err := store.OpenExisting(ctx, databaseURL)
	if err != nil {
		return err
	}
	return errors.Join(db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM account_sessions WHERE kind <> 'point'`)
		return err
	}), db.Close())
}
