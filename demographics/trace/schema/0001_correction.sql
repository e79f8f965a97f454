-- What people ask to have put right of their details. All are in one lane: a worklist is read as a whole.
CREATE TABLE trace_correction (
  lane         INTEGER NOT NULL,
  id           INTEGER NOT NULL,
  at           INTEGER NOT NULL, -- µs since 1970
  person       TEXT NOT NULL,    -- the NHS number under which it was asked
  organisation TEXT NOT NULL,    -- whose worklist it lands on: the person's practice, or the records office
  asked_by     TEXT NOT NULL,    -- a user's id
  part         TEXT NOT NULL,    -- what is wrong: name, birth, gender, address, practice, other
  words        TEXT NOT NULL,    -- what it should say
  state        TEXT NOT NULL,    -- waiting, right (it was put right), stays (it was not)
  owner        TEXT NOT NULL,    -- a user's id, '' for nobody
  owner_name   TEXT NOT NULL,
  taken        INTEGER NOT NULL,
  answered     INTEGER NOT NULL,
  answered_by  TEXT NOT NULL,    -- a user's name
  answer       TEXT NOT NULL,
  PRIMARY KEY (lane, id)
) WITHOUT ROWID;
CREATE INDEX trace_correction_state ON trace_correction (lane, state, organisation, id);
CREATE INDEX trace_correction_person ON trace_correction (lane, person, id);
