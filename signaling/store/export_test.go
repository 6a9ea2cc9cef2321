package store

import (
	"context"
	"errors"
	"time"
)

// SetAnswerWithin sets how long the database may take to answer.
func (d *DB) SetAnswerWithin(t time.Duration) { d.answerWithin = t }

// OpenAt migrates to a version only, as an earlier program did.
func OpenAt(ctx context.Context, url string, version int64) (*DB, error) {
	d, err := connect(ctx, url)
	if err != nil {
		return nil, err
	}
	if err := d.migrate(ctx, version); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}
