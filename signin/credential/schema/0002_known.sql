-- Addresses from which a user has come in, so that what others do there does not shut them out. Only hashes are kept.
CREATE TABLE credential_known (
  lane    INTEGER NOT NULL,   -- of the user
  user_id TEXT NOT NULL,
  hash    BLOB NOT NULL,      -- of the user and the address
  seen    INTEGER NOT NULL,   -- µs since 1970
  PRIMARY KEY (lane, user_id, hash)
) WITHOUT ROWID;
