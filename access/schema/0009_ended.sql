-- Why a session ended that its browser did not end, for as long as the browser may come back with it.
CREATE TABLE access_session_ended (
  lane  INTEGER NOT NULL,     -- of the session
  hash  BLOB NOT NULL,
  why   TEXT NOT NULL,        -- elsewhere, changed or ended
  at    INTEGER NOT NULL,     -- µs since 1970
  PRIMARY KEY (lane, hash)
) WITHOUT ROWID;
