-- Files of people that are traced: one row for each, with how far it is. All are in one lane: there are few.
CREATE TABLE tracing_job (
  lane         INTEGER NOT NULL,
  id           TEXT NOT NULL,
  owner        TEXT NOT NULL,    -- a user's id
  owner_name   TEXT NOT NULL,
  profile      TEXT NOT NULL,    -- the role in which they act
  name         TEXT NOT NULL,    -- of the file
  header       TEXT NOT NULL,    -- its first line
  state        TEXT NOT NULL,    -- waiting, done, stopped (by its owner), failed, expired
  stretches    INTEGER NOT NULL,
  stretch      INTEGER NOT NULL, -- the next one to be traced, from 0
  lines        INTEGER NOT NULL,
  traced       INTEGER NOT NULL,
  outcomes     TEXT NOT NULL,    -- how many lines of each, as JSON
  made         INTEGER NOT NULL, -- µs since 1970
  begun        INTEGER NOT NULL, -- 0 before
  ended        INTEGER NOT NULL, -- 0 before
  expires      INTEGER NOT NULL, -- when what it holds of people is taken away
  again        INTEGER NOT NULL, -- after a failure: not before then
  tries        INTEGER NOT NULL,
  error        TEXT NOT NULL,
  PRIMARY KEY (lane, id)
) WITHOUT ROWID;
CREATE INDEX tracing_job_owner ON tracing_job (lane, owner, made);
CREATE INDEX tracing_job_state ON tracing_job (lane, state, made);
-- What was asked and answered, a stretch of some hundred lines at a time; both go when the job expires.
CREATE TABLE tracing_stretch (
  lane    INTEGER NOT NULL,
  job     TEXT NOT NULL,
  stretch INTEGER NOT NULL,
  line    INTEGER NOT NULL,      -- of the file, in which it begins
  lines   INTEGER NOT NULL,
  asked   BLOB NOT NULL,
  answer  BLOB NOT NULL,         -- empty until it is traced
  PRIMARY KEY (lane, job, stretch)
) WITHOUT ROWID;
