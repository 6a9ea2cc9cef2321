-- +goose Up
-- Times are unix milliseconds; 0 or NULL means never, as the column says.

-- What the key file seals, to find another key file.
CREATE TABLE account_key (
    id   BIGINT  NOT NULL PRIMARY KEY,
    mark BYTEA   NOT NULL
);

CREATE TABLE account_passwords (
    user_id     TEXT    NOT NULL PRIMARY KEY,
    hash        TEXT    NOT NULL, -- $argon2id$…
    changed     BIGINT  NOT NULL, -- changes with each password, not with a new hash of the same
    must_change BIGINT  NOT NULL  -- 0 or 1
);

CREATE TABLE account_totp (
    user_id   TEXT    NOT NULL PRIMARY KEY,
    secret    BYTEA   NOT NULL, -- sealed
    created   BIGINT  NOT NULL,
    confirmed BIGINT  NOT NULL, -- 0: enrolment not finished
    counter   BIGINT  NOT NULL  -- of the last code used
);

CREATE TABLE account_recovery (
    user_id TEXT    NOT NULL,
    hash    BYTEA   NOT NULL,
    used    BIGINT  NOT NULL, -- 0: not yet
    PRIMARY KEY (user_id, hash)
);

CREATE TABLE account_failures (
    name     TEXT    NOT NULL PRIMARY KEY,
    failures BIGINT  NOT NULL,
    locks    BIGINT  NOT NULL, -- how often in a row it was locked
    last     BIGINT  NOT NULL,
    until    BIGINT  NOT NULL, -- no attempt before this
    forget   BIGINT  NOT NULL  -- the row means nothing after this
);
CREATE INDEX account_failures_forget ON account_failures (forget);

CREATE TABLE account_sessions (
    id       TEXT    NOT NULL PRIMARY KEY,
    token    BYTEA   NOT NULL UNIQUE, -- SHA-256
    kind     TEXT    NOT NULL,        -- user, point, guest
    method   TEXT    NOT NULL,        -- password, sso, code, link
    subject  TEXT    NOT NULL,        -- id of the user, point, guest
    device   TEXT    NOT NULL,        -- the part of the identity after #
    label    TEXT    NOT NULL,
    address  TEXT    NOT NULL,
    created  BIGINT  NOT NULL,
    seen     BIGINT  NOT NULL,
    idle     BIGINT  NOT NULL,        -- ends after this unless seen again
    expires  BIGINT  NOT NULL,
    made_by  TEXT    NOT NULL,        -- identity of who enrolled a device
    id_token BYTEA                    -- sealed; of single sign-on
);
CREATE INDEX account_sessions_subject ON account_sessions (kind, subject);
CREATE INDEX account_sessions_expires ON account_sessions (expires);

CREATE TABLE account_sso_states (
    state   BYTEA   NOT NULL PRIMARY KEY, -- of sign-ins that came back
    expires BIGINT  NOT NULL
);

CREATE TABLE account_device_codes (
    code    BYTEA   NOT NULL PRIMARY KEY, -- HMAC
    point   TEXT    NOT NULL UNIQUE,
    made_by TEXT    NOT NULL,
    created BIGINT  NOT NULL,
    expires BIGINT  NOT NULL
);

CREATE TABLE account_guest_links (
    id       TEXT    NOT NULL PRIMARY KEY,
    token    BYTEA   NOT NULL UNIQUE, -- SHA-256
    meeting  TEXT    NOT NULL,
    label    TEXT    NOT NULL,
    made_by  TEXT    NOT NULL,
    created  BIGINT  NOT NULL,
    expires  BIGINT  NOT NULL,
    max_uses BIGINT  NOT NULL,
    uses     BIGINT  NOT NULL,
    revoked  BIGINT  NOT NULL -- 0: not
);
CREATE INDEX account_guest_links_meeting ON account_guest_links (meeting);

CREATE TABLE account_guests (
    id         TEXT    NOT NULL PRIMARY KEY,
    link       TEXT    NOT NULL,
    meeting    TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    state      TEXT    NOT NULL, -- lobby, admitted, refused
    created    BIGINT  NOT NULL,
    decided    BIGINT  NOT NULL, -- 0: not yet
    decided_by TEXT    NOT NULL
);
CREATE INDEX account_guests_meeting ON account_guests (meeting, state);
