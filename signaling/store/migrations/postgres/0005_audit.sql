-- +goose Up
-- Who did what, from where, with which result. Nothing changes a row.
CREATE TABLE audit_records (
    id      TEXT    NOT NULL PRIMARY KEY, -- UUIDv7
    at      BIGINT  NOT NULL,             -- unix milliseconds
    who     TEXT    NOT NULL,             -- identity without the device, or '' before there is one
    device  TEXT    NOT NULL,             -- the part of the identity after #
    address TEXT    NOT NULL,
    action  TEXT    NOT NULL,
    object  TEXT    NOT NULL,
    result  TEXT    NOT NULL,             -- ok, or the code of the refusal
    detail  TEXT    NOT NULL
);
CREATE INDEX audit_records_at ON audit_records (at, id);
CREATE INDEX audit_records_who ON audit_records (who, at);
CREATE INDEX audit_records_object ON audit_records (object, at);
CREATE INDEX audit_records_action ON audit_records (action, at);

-- Who a subject of a single sign-on provider is here.
CREATE TABLE sso_subjects (
    issuer  TEXT NOT NULL,
    subject TEXT NOT NULL,
    user_id TEXT NOT NULL,
    PRIMARY KEY (issuer, subject)
);
