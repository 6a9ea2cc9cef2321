-- +goose Up
-- Times are unix milliseconds; 0 or NULL means never, as the column says.

-- What the key file seals, to find another key file.
CREATE TABLE account_key (
    id   INTEGER NOT NULL PRIMARY KEY,
    mark BLOB    NOT NULL
) STRICT;

CREATE TABLE account_passwords (
    user_id     TEXT    NOT NULL PRIMARY KEY,
    hash        TEXT    NOT NULL, -- $argon2id$…
    changed     INTEGER NOT NULL, -- changes with each password, not with a new hash of the same
    must_change INTEGER NOT NULL  -- 0 or 1
) STRICT;

CREATE TABLE account_totp (
    user_id   TEXT    NOT NULL PRIMARY KEY,
    secret    BLOB    NOT NULL, -- sealed
    created   INTEGER NOT NULL,
    confirmed INTEGER NOT NULL, -- 0: enrolment not finished
    counter   INTEGER NOT NULL  -- of the last code used
) STRICT;

CREATE TABLE account_recovery (
    user_id TEXT    NOT NULL,
    hash    BLOB    NOT NULL,
    used    INTEGER NOT NULL, -- 0: not yet
    PRIMARY KEY (user_id, hash)
) STRICT;

CREATE TABLE account_failures (
    name     TEXT    NOT NULL PRIMARY KEY,
    failures INTEGER NOT NULL,
    locks    INTEGER NOT NULL, -- how often in a row it was locked
    last     INTEGER NOT NULL,
    until    INTEGER NOT NULL, -- no attempt before this
    forget   INTEGER NOT NULL  -- the row means nothing after this
) STRICT;
CREATE INDEX account_failures_forget ON account_failures (forget);

CREATE TABLE account_sessions (
    id       TEXT    NOT NULL PRIMARY KEY,
    token    BLOB    NOT NULL UNIQUE, -- SHA-256
    kind     TEXT    NOT NULL,        -- user, point, guest
    method   TEXT    NOT NULL,        -- password, sso, code, link
    subject  TEXT    NOT NULL,        -- id of the user, point, guest
    device   TEXT    NOT NULL,        -- the part of the identity after #
    label    TEXT    NOT NULL,
    address  TEXT    NOT NULL,
    created  INTEGER NOT NULL,
    seen     INTEGER NOT NULL,
    idle     INTEGER NOT NULL,        -- ends after this unless seen again
    expires  INTEGER NOT NULL,
    made_by  TEXT    NOT NULL,        -- identity of who enrolled a device
    id_token BLOB                     -- sealed; of single sign-on
) STRICT;
CREATE INDEX account_sessions_subject ON account_sessions (kind, subject);
CREATE INDEX account_sessions_expires ON account_sessions (expires);

CREATE TABLE account_sso_states (
    state   BLOB    NOT NULL PRIMARY KEY, -- of sign-ins that came back
    expires INTEGER NOT NULL
) STRICT;

CREATE TABLE account_device_codes (
    code    BLOB    NOT NULL PRIMARY KEY, -- HMAC
    point   TEXT    NOT NULL UNIQUE,
    made_by TEXT    NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL
) STRICT;

CREATE TABLE account_guest_links (
    id       TEXT    NOT NULL PRIMARY KEY,
    token    BLOB    NOT NULL UNIQUE, -- SHA-256
    meeting  TEXT    NOT NULL,
    label    TEXT    NOT NULL,
    made_by  TEXT    NOT NULL,
    created  INTEGER NOT NULL,
    expires  INTEGER NOT NULL,
    max_uses INTEGER NOT NULL,
    uses     INTEGER NOT NULL,
    revoked  INTEGER NOT NULL -- 0: not
) STRICT;
CREATE INDEX account_guest_links_meeting ON account_guest_links (meeting);

CREATE TABLE account_guests (
    id         TEXT    NOT NULL PRIMARY KEY,
    link       TEXT    NOT NULL,
    meeting    TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    state      TEXT    NOT NULL, -- lobby, admitted, refused
    created    INTEGER NOT NULL,
    decided    INTEGER NOT NULL, -- 0: not yet
    decided_by TEXT    NOT NULL
) STRICT;
CREATE INDEX account_guests_meeting ON account_guests (meeting, state);
