-- +goose Up
CREATE TABLE journal_leases (
    meeting TEXT    NOT NULL PRIMARY KEY,
    fence   INTEGER NOT NULL,
    owner   TEXT    NOT NULL,
    until   INTEGER NOT NULL -- unix milliseconds, 0: released
) STRICT;

CREATE TABLE journal_entries (
    meeting TEXT    NOT NULL,
    seq     INTEGER NOT NULL,
    fence   INTEGER NOT NULL,
    at      INTEGER NOT NULL, -- unix milliseconds
    command TEXT,             -- NULL: the server's own entry
    author  TEXT    NOT NULL,
    body    BLOB    NOT NULL,
    prev    BLOB    NOT NULL,
    hash    BLOB    NOT NULL,
    PRIMARY KEY (meeting, seq),
    UNIQUE (meeting, command, author)
) STRICT;

-- Against mistakes of our own; who may write here may also drop these.
-- +goose StatementBegin
CREATE TRIGGER journal_entries_no_update BEFORE UPDATE ON journal_entries
BEGIN
    SELECT RAISE(ABORT, 'journal_entries is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER journal_entries_no_delete BEFORE DELETE ON journal_entries
BEGIN
    SELECT RAISE(ABORT, 'journal_entries is append-only');
END;
-- +goose StatementEnd
