-- +goose Up
-- What is looked up across meetings. The journal is what holds a meeting: all of
-- meetings and meeting_people can be made again from it.
CREATE TABLE meetings (
    id       TEXT    NOT NULL PRIMARY KEY,
    seq      INTEGER NOT NULL, -- last event that is in this row
    title    TEXT    NOT NULL,
    folded   TEXT    NOT NULL, -- title and place, for search
    kind     TEXT    NOT NULL,
    unit     TEXT    NOT NULL,
    place    TEXT    NOT NULL,
    status   TEXT    NOT NULL,
    planned  INTEGER NOT NULL, -- unix milliseconds, here and below; 0: not set
    until    INTEGER NOT NULL,
    approved INTEGER NOT NULL,
    started  INTEGER NOT NULL,
    ended    INTEGER NOT NULL,
    begins   INTEGER NOT NULL, -- started, or planned
    finishes INTEGER NOT NULL  -- ended, or planned, or some hours after begins
) STRICT;
CREATE INDEX meetings_begins ON meetings (begins, id);
CREATE INDEX meetings_unit ON meetings (unit, begins);

CREATE TABLE meeting_people (
    meeting  TEXT NOT NULL,
    identity TEXT NOT NULL, -- user:…, point:…, guest:…
    name     TEXT NOT NULL,
    role     TEXT NOT NULL,
    PRIMARY KEY (meeting, identity)
) STRICT;
CREATE INDEX meeting_people_identity ON meeting_people (identity, meeting);

-- Private keys of open secret votes. A row goes when its vote is over.
CREATE TABLE meeting_ballot_keys (
    meeting TEXT    NOT NULL,
    vote    TEXT    NOT NULL,
    public  TEXT    NOT NULL, -- as announced in vote.opened
    sealed  BLOB    NOT NULL, -- AES-256-GCM
    created INTEGER NOT NULL,
    PRIMARY KEY (meeting, vote, public)
) STRICT;

-- Private notes: nobody but the author reads them.
CREATE TABLE meeting_notes (
    author  TEXT    NOT NULL,
    meeting TEXT    NOT NULL,
    item    TEXT    NOT NULL, -- '': the whole meeting
    text    TEXT    NOT NULL,
    updated INTEGER NOT NULL,
    PRIMARY KEY (author, meeting, item)
) STRICT;

