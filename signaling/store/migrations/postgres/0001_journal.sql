-- +goose Up
CREATE TABLE journal_leases (
    meeting TEXT   NOT NULL PRIMARY KEY,
    fence   BIGINT NOT NULL,
    owner   TEXT   NOT NULL,
    until   BIGINT NOT NULL -- unix milliseconds, 0: released
);

CREATE TABLE journal_entries (
    meeting TEXT   NOT NULL,
    seq     BIGINT NOT NULL,
    fence   BIGINT NOT NULL,
    at      BIGINT NOT NULL, -- unix milliseconds
    command TEXT,            -- NULL: the server's own entry
    author  TEXT   NOT NULL,
    body    BYTEA  NOT NULL,
    prev    BYTEA  NOT NULL,
    hash    BYTEA  NOT NULL,
    PRIMARY KEY (meeting, seq),
    UNIQUE (meeting, command, author)
);

-- Against mistakes of our own; who may write here may also drop these.
-- +goose StatementBegin
CREATE FUNCTION journal_entries_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'journal_entries is append-only';
END;
$$;
-- +goose StatementEnd
CREATE TRIGGER journal_entries_append_only BEFORE UPDATE OR DELETE ON journal_entries
    FOR EACH ROW EXECUTE FUNCTION journal_entries_append_only();
