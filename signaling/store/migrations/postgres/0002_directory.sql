-- +goose Up
CREATE TABLE units (
    id         TEXT    NOT NULL PRIMARY KEY,
    code       TEXT    NOT NULL UNIQUE,
    parent_id  TEXT    REFERENCES units (id), -- NULL: the root
    name       TEXT    NOT NULL,
    short_name TEXT    NOT NULL,
    kind       TEXT    NOT NULL,
    sort_order BIGINT NOT NULL,
    sort_key   BYTEA   NOT NULL,
    search     TEXT    NOT NULL,
    version    BIGINT NOT NULL,
    created_at BIGINT NOT NULL, -- unix milliseconds
    updated_at BIGINT NOT NULL
);
CREATE INDEX units_parent ON units (parent_id);
CREATE INDEX units_order ON units (sort_key, id);
CREATE UNIQUE INDEX units_one_root ON units ((1)) WHERE parent_id IS NULL;

CREATE TABLE positions (
    id         TEXT    NOT NULL PRIMARY KEY,
    name       TEXT    NOT NULL,
    name_key   TEXT    NOT NULL UNIQUE, -- case-folded
    sort_order BIGINT NOT NULL,
    version    BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE TABLE points (
    id         TEXT    NOT NULL PRIMARY KEY,
    code       TEXT    NOT NULL UNIQUE,
    unit_id    TEXT    NOT NULL REFERENCES units (id),
    name       TEXT    NOT NULL,
    place      TEXT    NOT NULL,
    kind       TEXT    NOT NULL,
    technician TEXT    NOT NULL,
    tech_phone TEXT    NOT NULL,
    enabled    BOOLEAN NOT NULL,
    sort_key   BYTEA   NOT NULL,
    search     TEXT    NOT NULL,
    version    BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX points_unit ON points (unit_id);
CREATE INDEX points_order ON points (sort_key, id);

CREATE TABLE users (
    id          TEXT    NOT NULL PRIMARY KEY,
    login       TEXT    NOT NULL UNIQUE, -- NFC, case-folded
    full_name   TEXT    NOT NULL,
    mail        TEXT    NOT NULL,
    phone       TEXT    NOT NULL,
    position_id TEXT    REFERENCES positions (id),
    unit_id     TEXT    NOT NULL REFERENCES units (id),
    enabled     BOOLEAN NOT NULL,
    sort_key    BYTEA   NOT NULL, -- given name first
    search      TEXT    NOT NULL,
    version     BIGINT NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL
);
CREATE INDEX users_unit ON users (unit_id);
CREATE INDEX users_position ON users (position_id);
CREATE INDEX users_order ON users (sort_key, id);

CREATE TABLE role_assignments (
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    unit_id TEXT NOT NULL REFERENCES units (id) ON DELETE CASCADE,
    role    TEXT NOT NULL,
    PRIMARY KEY (user_id, unit_id, role)
);
CREATE INDEX role_assignments_unit ON role_assignments (unit_id, role);

CREATE TABLE permission_overrides (
    unit_id    TEXT    NOT NULL REFERENCES units (id) ON DELETE CASCADE,
    permission TEXT    NOT NULL,
    role       TEXT    NOT NULL,
    allow      BOOLEAN NOT NULL,
    version    BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (unit_id, permission, role)
);
