-- Who can sign in here.
CREATE TABLE access_user (
  lane         INTEGER NOT NULL,
  id           TEXT NOT NULL,
  name         TEXT NOT NULL,
  role         TEXT NOT NULL,
  organisation TEXT NOT NULL,   -- '' for a patient
  person       TEXT NOT NULL,   -- a patient's own chart
  tenants      TEXT NOT NULL,   -- further tenants, space between
  demo         INTEGER NOT NULL, -- 1: anyone may sign in as this user with one click
  ended        INTEGER NOT NULL, -- µs since 1970; 0 while the user may sign in
  PRIMARY KEY (lane, id)
) WITHOUT ROWID;
-- Who is signed in. Only a hash of the session's secret is kept, so that a copy of the database opens nothing.
CREATE TABLE access_session (
  lane    INTEGER NOT NULL,
  hash    BLOB NOT NULL,
  user_id TEXT NOT NULL,
  method  TEXT NOT NULL,
  since   INTEGER NOT NULL,
  seen    INTEGER NOT NULL,     -- to the minute
  PRIMARY KEY (lane, hash)
) WITHOUT ROWID;
-- Tokens that no longer hold, until they would have expired anyway.
CREATE TABLE access_revoked (
  lane  INTEGER NOT NULL,
  jti   TEXT NOT NULL,
  until INTEGER NOT NULL,
  PRIMARY KEY (lane, jti)
) WITHOUT ROWID;
-- Assertions, codes and nonces that were used, until they expire: each may be used once.
CREATE TABLE access_used (
  lane  INTEGER NOT NULL,
  kind  TEXT NOT NULL,
  id    TEXT NOT NULL,
  until INTEGER NOT NULL,
  PRIMARY KEY (lane, kind, id)
) WITHOUT ROWID;
CREATE INDEX access_session_since ON access_session (lane, since);
CREATE INDEX access_revoked_until ON access_revoked (lane, until);
CREATE INDEX access_used_until ON access_used (lane, until);
