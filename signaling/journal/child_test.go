package journal

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"diemcau/signaling/store"
)

// child is the process that is killed ("crowd") or traced ("session"). It prints
// the command id of each entry that was acknowledged, a line with one write.
func child(kind string) error {
	db, err := store.Open(ctx, os.Getenv("JOURNAL_URL"))
	if err != nil {
		return err
	}
	heads, err := OpenHeads(os.Getenv("JOURNAL_DIR"))
	if err != nil {
		return err
	}
	j := Start(db, heads, Options{})
	if kind == "session" {
		return session(db, heads, j)
	}
	run := os.Getenv("JOURNAL_RUN")
	const callers = 50
	errs := make(chan error, callers)
	var writers [3]*Writer
	for m := range writers {
		if writers[m], err = j.Open(ctx, childMeetings[m], "node"); err != nil {
			return err
		}
	}
	for c := range callers {
		go func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%s-%d-%d", run, c, i)
				if _, err := writers[c%len(writers)].Append(ctx, draft(id)); err != nil {
					errs <- err
					return
				}
				if _, err := os.Stdout.WriteString(id + "\n"); err != nil {
					errs <- err
					return
				}
			}
		}()
	}
	return <-errs
}

// session is short, so that it can be cut at each of its writes: two meetings, a
// rewritten heads file, a checkpoint, a second opening.
func session(db *store.DB, heads *Heads, j *Journal) error {
	appendAll := func(w *Writer, prefix string, n int) error {
		for i := range n {
			id := prefix + strconv.Itoa(i)
			if _, err := w.Append(ctx, draft(id)); err != nil {
				return err
			}
			if _, err := os.Stdout.WriteString(id + "\n"); err != nil {
				return err
			}
		}
		return nil
	}
	a, err := j.Open(ctx, "m0", "node")
	if err != nil {
		return err
	}
	b, err := j.Open(ctx, "m1", "node")
	if err != nil {
		return err
	}
	if err := errors.Join(appendAll(a, "a", 7), appendAll(b, "b", 4)); err != nil {
		return err
	}
	heads.mu.Lock()
	heads.limit = 0 // the next line is a rewriting
	heads.mu.Unlock()
	if err := appendAll(a, "c", 3); err != nil {
		return err
	}
	j.Close()
	// The last connection writes the log back into the database and removes it.
	if err := errors.Join(heads.Close(), db.Close()); err != nil {
		return err
	}
	if db, err = store.Open(ctx, os.Getenv("JOURNAL_URL")); err != nil {
		return err
	}
	if heads, err = OpenHeads(os.Getenv("JOURNAL_DIR")); err != nil {
		return err
	}
	j = Start(db, heads, Options{})
	if a, err = j.Open(ctx, "m0", "node"); err != nil {
		return err
	}
	if err := appendAll(a, "d", 6); err != nil {
		return err
	}
	j.Close()
	return errors.Join(heads.Close(), db.Close())
}
