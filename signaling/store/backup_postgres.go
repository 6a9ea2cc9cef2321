package store

import (
	"archive/zip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// backupFormat is the version of the ZIP file's layout.
const backupFormat = 1

// contents is backup.json, the first file in a backup of PostgreSQL.
type contents struct {
	Format    int             `json:"format"`
	Schema    int64           `json:"schema"` // version of the migrations
	Tables    []tableContents `json:"tables"`
	Sequences []sequence      `json:"sequences"`
}

type tableContents struct {
	Name    string   `json:"name"`
	Columns []string `json:"columns"`
	File    string   `json:"file"` // in the ZIP: COPY's text format
}

type sequence struct {
	Name string `json:"name"`
	Last int64  `json:"last"`
}

func quote(names ...string) string { return pgx.Identifier(names).Sanitize() }

func (t tableContents) quoted() string {
	columns := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		columns[i] = quote(c)
	}
	return quote(t.Name) + " (" + strings.Join(columns, ", ") + ")"
}

// backupPostgres copies all tables as they were at one moment.
func (d *DB) backupPostgres(ctx context.Context, w io.Writer) error {
	conn, err := d.read.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	return conn.Raw(func(driver any) error {
		raw, ok := driver.(*stdlib.Conn)
		if !ok {
			return errors.New("not a connection of pgx")
		}
		tx, err := raw.Conn().BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
		list, err := listContents(ctx, tx)
		if err != nil {
			return err
		}
		archive := zip.NewWriter(w)
		head, err := archive.Create("backup.json")
		if err != nil {
			return err
		}
		if err := json.NewEncoder(head).Encode(list); err != nil {
			return err
		}
		for _, t := range list.Tables {
			file, err := archive.Create(t.File)
			if err != nil {
				return err
			}
			if _, err := tx.Conn().PgConn().CopyTo(ctx, file, "COPY "+t.quoted()+" TO STDOUT"); err != nil {
				return fmt.Errorf("table %s: %w", t.Name, err)
			}
		}
		return archive.Close()
	})
}

func listContents(ctx context.Context, tx pgx.Tx) (contents, error) {
	list := contents{Format: backupFormat}
	if err := tx.QueryRow(ctx, `SELECT MAX(version_id) FROM `+versionTable).Scan(&list.Schema); err != nil {
		return list, err
	}
	rows, err := tx.Query(ctx, `SELECT c.relname::text, array_agg(a.attname::text ORDER BY a.attnum)
		FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
		WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' AND c.relname <> '`+versionTable+`'
			AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
		GROUP BY c.relname ORDER BY c.relname`)
	if err != nil {
		return list, err
	}
	list.Tables, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (tableContents, error) {
		var t tableContents
		err := row.Scan(&t.Name, &t.Columns)
		t.File = "tables/" + t.Name + ".copy"
		return t, err
	})
	if err != nil {
		return list, err
	}
	rows, err = tx.Query(ctx, `SELECT sequencename::text, last_value FROM pg_sequences
		WHERE schemaname = current_schema() AND last_value IS NOT NULL AND sequencename <> '`+versionTable+`_id_seq'`)
	if err != nil {
		return list, err
	}
	list.Sequences, err = pgx.CollectRows(rows, pgx.RowToStructByPos[sequence])
	return list, err
}

// restorePostgres migrates to the backup's version and copies all rows in one
// transaction.
func (d *DB) restorePostgres(ctx context.Context, path string) error {
	archive, err := zip.OpenReader(path)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrBackup, path, err)
	}
	defer archive.Close()
	list, err := readContents(&archive.Reader)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrBackup, path, err)
	}
	if err := d.migrate(ctx, list.Schema); err != nil {
		return err
	}
	conn, err := d.write.Conn(ctx)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	defer conn.Close()
	err = conn.Raw(func(driver any) error {
		raw, ok := driver.(*stdlib.Conn)
		if !ok {
			return errors.New("not a connection of pgx")
		}
		return pgx.BeginFunc(ctx, raw.Conn(), func(tx pgx.Tx) error { return fillTables(ctx, tx, &archive.Reader, list) })
	})
	if err != nil {
		return fmt.Errorf("store: restore: %w", err)
	}
	return nil
}

func readContents(archive *zip.Reader) (list contents, err error) {
	f, err := archive.Open("backup.json")
	if err != nil {
		return list, err
	}
	defer f.Close()
	dec := json.NewDecoder(io.LimitReader(f, 1<<20))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&list); err != nil {
		return list, err
	}
	if list.Format != backupFormat {
		return list, fmt.Errorf("format %d", list.Format)
	}
	return list, nil
}

// fillTables puts the rows in. What the migrations filled themselves is replaced.
// Foreign keys wait until all rows are there, and triggers do not fire.
func fillTables(ctx context.Context, tx pgx.Tx, archive *zip.Reader, list contents) error {
	var version int64
	if err := tx.QueryRow(ctx, `SELECT MAX(version_id) FROM `+versionTable).Scan(&version); err != nil {
		return err
	}
	if version != list.Schema {
		return fmt.Errorf("the database is of schema %d and the backup of %d; use a new database", version, list.Schema)
	}
	rows, err := tx.Query(ctx, `SELECT conrelid::regclass::text, quote_ident(conname), pg_get_constraintdef(oid)
		FROM pg_constraint WHERE contype = 'f' AND connamespace = current_schema()::regnamespace`)
	if err != nil {
		return err
	}
	type foreignKey struct{ Table, Name, Definition string }
	keys, err := pgx.CollectRows(rows, pgx.RowToStructByPos[foreignKey])
	if err != nil {
		return err
	}
	var before, after []string
	for _, k := range keys {
		before = append(before, "ALTER TABLE "+k.Table+" DROP CONSTRAINT "+k.Name)
		after = append(after, "ALTER TABLE "+k.Table+" ADD CONSTRAINT "+k.Name+" "+k.Definition)
	}
	for _, t := range list.Tables {
		before = append(before, "ALTER TABLE "+quote(t.Name)+" DISABLE TRIGGER USER", "TRUNCATE "+quote(t.Name))
		after = append(after, "ALTER TABLE "+quote(t.Name)+" ENABLE TRIGGER USER")
	}
	if err := execAll(ctx, tx, before); err != nil {
		return err
	}
	for _, t := range list.Tables {
		if err := copyTable(ctx, tx, archive, t); err != nil {
			return fmt.Errorf("table %s: %w", t.Name, err)
		}
	}
	for _, s := range list.Sequences {
		if _, err := tx.Exec(ctx, `SELECT setval($1::regclass, $2)`, quote(s.Name), s.Last); err != nil {
			return err
		}
	}
	return execAll(ctx, tx, after)
}

func execAll(ctx context.Context, tx pgx.Tx, statements []string) error {
	for _, s := range statements {
		if _, err := tx.Exec(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

// copyTable reads a file to its end, where ZIP's checksum is compared.
func copyTable(ctx context.Context, tx pgx.Tx, archive *zip.Reader, t tableContents) error {
	f, err := archive.Open(t.File)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBackup, err)
	}
	defer f.Close()
	if _, err := tx.Conn().PgConn().CopyFrom(ctx, f, "COPY "+t.quoted()+" FROM STDIN"); err != nil {
		return err
	}
	return nil
}
