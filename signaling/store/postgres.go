package store

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// connectPostgres opens the two pools of a PostgreSQL database.
func connectPostgres(ctx context.Context, url string) (*DB, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		// The error's text may repeat the URL, and with it the password.
		return nil, fmt.Errorf("%w: it could not be read", ErrURL)
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 10 * time.Second
	}
	// What a server or role has as its default must not weaken a commit.
	config.RuntimeParams["synchronous_commit"] = "on"
	config.RuntimeParams["application_name"] = "diemcau"
	config.RuntimeParams["timezone"] = "UTC"
	writing := config.Copy()
	config.RuntimeParams["default_transaction_read_only"] = "on"

	conns := max(8, 2*runtime.GOMAXPROCS(0))
	d := &DB{dialect: Postgres, read: stdlib.OpenDB(*config), write: stdlib.OpenDB(*writing), answerWithin: answerWithin}
	d.read.SetMaxOpenConns(conns)
	d.read.SetMaxIdleConns(conns)
	d.write.SetMaxOpenConns(conns)
	d.write.SetMaxIdleConns(conns)

	var fsync string
	err = d.read.QueryRowContext(ctx, "SHOW fsync").Scan(&fsync)
	if err == nil && fsync != "on" {
		err = errors.New("the server runs with fsync off: a power failure would lose what was acknowledged")
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("store: %w", err), d.Close())
	}
	return d, nil
}
