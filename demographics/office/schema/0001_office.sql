-- Two numbers that may be one person. a is the lower number. All are in one lane: a worklist is read as a whole.
CREATE TABLE office_pair (
  lane        INTEGER NOT NULL,
  a           TEXT NOT NULL,
  b           TEXT NOT NULL,
  state       TEXT NOT NULL,    -- open, merged, different (a person said so), lapsed (they no longer look alike)
  hidden      INTEGER NOT NULL, -- 1: one of the two is restricted
  verdict     INTEGER NOT NULL, -- match.Verdict
  probability INTEGER NOT NULL, -- millionths
  weight      INTEGER NOT NULL, -- thousandths of a bit
  pattern     INTEGER NOT NULL, -- match.Pattern
  veto        TEXT NOT NULL,
  found       INTEGER NOT NULL, -- µs since 1970
  seen        INTEGER NOT NULL, -- when the last run found it
  owner       TEXT NOT NULL,    -- a user's id, '' for nobody
  owner_name  TEXT NOT NULL,
  taken       INTEGER NOT NULL,
  survivor    TEXT NOT NULL,    -- of merged ones
  decided     INTEGER NOT NULL,
  decided_by  TEXT NOT NULL,    -- a user's name
  reason      TEXT NOT NULL,
  PRIMARY KEY (lane, a, b)
) WITHOUT ROWID;
CREATE INDEX office_pair_state ON office_pair (lane, state, hidden, probability, a, b);
-- A change after which a record no longer looks like the person it was about.
CREATE TABLE office_confusion (
  lane        INTEGER NOT NULL,
  person      TEXT NOT NULL,
  ver         INTEGER NOT NULL,
  state       TEXT NOT NULL,    -- open, one (person, a person said so), two
  hidden      INTEGER NOT NULL,
  probability INTEGER NOT NULL,
  weight      INTEGER NOT NULL,
  pattern     INTEGER NOT NULL,
  found       INTEGER NOT NULL,
  actor       TEXT NOT NULL,    -- who made the change, by name
  owner       TEXT NOT NULL,
  owner_name  TEXT NOT NULL,
  taken       INTEGER NOT NULL,
  decided     INTEGER NOT NULL,
  decided_by  TEXT NOT NULL,
  reason      TEXT NOT NULL,
  PRIMARY KEY (lane, person, ver)
) WITHOUT ROWID;
CREATE INDEX office_confusion_state ON office_confusion (lane, state, hidden, found);
-- Each comparison of everybody with everybody, with the model that it used.
CREATE TABLE office_run (
  lane     INTEGER NOT NULL,
  started  INTEGER NOT NULL,
  finished INTEGER NOT NULL,
  people   INTEGER NOT NULL,
  pairs    INTEGER NOT NULL,
  skipped  INTEGER NOT NULL,
  opened   INTEGER NOT NULL,
  lapsed   INTEGER NOT NULL,
  model    TEXT NOT NULL,    -- match.Model as JSON
  passes   TEXT NOT NULL,    -- match.Estimation as JSON
  PRIMARY KEY (lane, started)
) WITHOUT ROWID;
