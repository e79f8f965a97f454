-- The name under which a user's devices know them: random, for it is kept on the device (WebAuthn level 3, section 14.6.1).
CREATE TABLE credential_handle (
  lane    INTEGER NOT NULL,   -- of the handle
  handle  BLOB NOT NULL,
  user_id TEXT NOT NULL,
  PRIMARY KEY (lane, handle)
) WITHOUT ROWID;
CREATE UNIQUE INDEX credential_handle_user ON credential_handle (lane, user_id);
-- A user's passkeys: public keys and their counters, as JSON.
CREATE TABLE credential_passkey (
  lane    INTEGER NOT NULL,   -- of the user
  user_id TEXT NOT NULL,
  id      BLOB NOT NULL,
  body    TEXT NOT NULL,
  name    TEXT NOT NULL,      -- as the user calls it
  made    INTEGER NOT NULL,   -- µs since 1970
  used    INTEGER NOT NULL,   -- 0 for never
  PRIMARY KEY (lane, user_id, id)
) WITHOUT ROWID;
-- Recovery codes, each for one use. Only hashes are kept.
CREATE TABLE credential_recovery (
  lane    INTEGER NOT NULL,   -- of the user
  user_id TEXT NOT NULL,
  hash    BLOB NOT NULL,
  made    INTEGER NOT NULL,
  used    INTEGER NOT NULL,
  PRIMARY KEY (lane, user_id, hash)
) WITHOUT ROWID;
-- One-time links that an administrator gives, so that somebody can make their first passkey.
CREATE TABLE credential_link (
  lane    INTEGER NOT NULL,   -- of the hash
  hash    BLOB NOT NULL,
  user_id TEXT NOT NULL,
  until   INTEGER NOT NULL,
  used    INTEGER NOT NULL,
  PRIMARY KEY (lane, hash)
) WITHOUT ROWID;
-- Failed attempts, by user and by address, so that guessing takes for ever on however many nodes.
CREATE TABLE credential_failure (
  lane   INTEGER NOT NULL,    -- of the key
  key    TEXT NOT NULL,       -- user:… or address:…
  n      INTEGER NOT NULL,
  since  INTEGER NOT NULL,
  until  INTEGER NOT NULL,    -- locked until; 0 when not
  PRIMARY KEY (lane, key)
) WITHOUT ROWID;
CREATE INDEX credential_failure_since ON credential_failure (lane, since);
CREATE INDEX credential_link_until ON credential_link (lane, until);
