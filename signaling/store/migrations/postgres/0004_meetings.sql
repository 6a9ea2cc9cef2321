-- +goose Up
-- What is looked up across meetings. The journal is what holds a meeting: all of
-- meetings and meeting_people can be made again from it.
CREATE TABLE meetings (
    id       TEXT    NOT NULL PRIMARY KEY,
    seq      BIGINT  NOT NULL, -- last event that is in this row
    title    TEXT    NOT NULL,
    folded   TEXT    NOT NULL, -- title and place, for search
    kind     TEXT    NOT NULL,
    unit     TEXT    NOT NULL,
    place    TEXT    NOT NULL,
    status   TEXT    NOT NULL,
    planned  BIGINT  NOT NULL, -- unix milliseconds, here and below; 0: not set
    until    BIGINT  NOT NULL,
    approved BIGINT  NOT NULL,
    started  BIGINT  NOT NULL,
    ended    BIGINT  NOT NULL,
    begins   BIGINT  NOT NULL, -- started, or planned
    finishes BIGINT  NOT NULL  -- ended, or planned, or some hours after begins
);
CREATE INDEX meetings_begins ON meetings (begins, id);
CREATE INDEX meetings_unit ON meetings (unit, begins);

CREATE TABLE meeting_people (
    meeting  TEXT NOT NULL,
    identity TEXT NOT NULL, -- user:…, point:…, guest:…
    name     TEXT NOT NULL,
    role     TEXT NOT NULL,
    PRIMARY KEY (meeting, identity)
);
CREATE INDEX meeting_people_identity ON meeting_people (identity, meeting);

-- Private keys of open secret votes. A row goes when its vote is over.
CREATE TABLE meeting_ballot_keys (
    meeting TEXT    NOT NULL,
    vote    TEXT    NOT NULL,
    public  TEXT    NOT NULL, -- as announced in vote.opened
    sealed  BYTEA   NOT NULL, -- AES-256-GCM
    created BIGINT  NOT NULL,
    PRIMARY KEY (meeting, vote, public)
);

-- Private notes: nobody but the author reads them.
CREATE TABLE meeting_notes (
    author  TEXT    NOT NULL,
    meeting TEXT    NOT NULL,
    item    TEXT    NOT NULL, -- '': the whole meeting
    text    TEXT    NOT NULL,
    updated BIGINT  NOT NULL,
    PRIMARY KEY (author, meeting, item)
);

