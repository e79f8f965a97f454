-- The programs that may ask for tokens. body is the Client as JSON; a secret is kept as its hash only.
CREATE TABLE oauth_client (
  lane  INTEGER NOT NULL,
  id    TEXT NOT NULL,
  name  TEXT NOT NULL,
  realm TEXT NOT NULL,
  body  TEXT NOT NULL,
  made  INTEGER NOT NULL,   -- µs since 1970
  ended INTEGER NOT NULL,   -- µs since 1970; 0 while it may ask
  PRIMARY KEY (lane, id)
) WITHOUT ROWID;
CREATE INDEX oauth_client_name ON oauth_client (name);
-- What somebody allowed a program: one row for each time that they signed in to it. Its id is the sid of its tokens.
CREATE TABLE oauth_grant (
  lane      INTEGER NOT NULL,
  id        TEXT NOT NULL,
  client    TEXT NOT NULL,
  user_id   TEXT NOT NULL,
  profile   TEXT NOT NULL,   -- the role that they chose; '' for the first
  scope     TEXT NOT NULL,
  assurance TEXT NOT NULL,
  method    TEXT NOT NULL,
  signed_in INTEGER NOT NULL, -- µs since 1970
  edition   INTEGER NOT NULL, -- of the user's rights at the time
  chart     TEXT NOT NULL,   -- the patient in context; '' for none
  nonce     TEXT NOT NULL,
  since     INTEGER NOT NULL,
  until     INTEGER NOT NULL,
  ended     INTEGER NOT NULL, -- 0 while it holds
  why       TEXT NOT NULL,   -- why it ended
  PRIMARY KEY (lane, id)
) WITHOUT ROWID;
CREATE INDEX oauth_grant_user ON oauth_grant (user_id, since);
CREATE INDEX oauth_grant_until ON oauth_grant (lane, until);
-- Codes, each for one use within a minute. Only hashes are kept.
CREATE TABLE oauth_code (
  lane      INTEGER NOT NULL,  -- of the grant
  hash      BLOB NOT NULL,
  grant_id  TEXT NOT NULL,
  redirect  TEXT NOT NULL,
  challenge TEXT NOT NULL,     -- PKCE, S256; '' for none
  until     INTEGER NOT NULL,
  used      INTEGER NOT NULL,
  PRIMARY KEY (lane, hash)
) WITHOUT ROWID;
-- Refresh tokens: a family for each grant, of which only the last may be used.
CREATE TABLE oauth_refresh (
  lane     INTEGER NOT NULL,   -- of the grant
  hash     BLOB NOT NULL,
  grant_id TEXT NOT NULL,
  n        INTEGER NOT NULL,   -- how often the family was refreshed before
  until    INTEGER NOT NULL,
  used     INTEGER NOT NULL,
  PRIMARY KEY (lane, hash)
) WITHOUT ROWID;
CREATE INDEX oauth_refresh_grant ON oauth_refresh (lane, grant_id);
CREATE INDEX oauth_code_grant ON oauth_code (lane, grant_id);
-- What a user has agreed to, so that they are asked once.
CREATE TABLE oauth_consent (
  lane    INTEGER NOT NULL,    -- of the user
  user_id TEXT NOT NULL,
  client  TEXT NOT NULL,
  scope   TEXT NOT NULL,
  at      INTEGER NOT NULL,
  PRIMARY KEY (lane, user_id, client)
) WITHOUT ROWID;
-- What clients are still to be told: that somebody has signed out (OpenID Connect Back-Channel Logout 1.0).
CREATE TABLE oauth_notice (
  lane     INTEGER NOT NULL,   -- of the grant
  grant_id TEXT NOT NULL,
  client   TEXT NOT NULL,
  user_id  TEXT NOT NULL,
  url      TEXT NOT NULL,
  due      INTEGER NOT NULL,
  tries    INTEGER NOT NULL,
  until    INTEGER NOT NULL,   -- when we give up
  PRIMARY KEY (lane, grant_id)
) WITHOUT ROWID;
CREATE INDEX oauth_notice_due ON oauth_notice (due);
