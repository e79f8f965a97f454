-- Old months, which are kept in files (docs/decisions). One row for each file …
CREATE TABLE audit_archive (
  lane     INTEGER NOT NULL,  -- 0
  id       INTEGER NOT NULL,  -- 1, 2, 3 … without gaps
  name     TEXT NOT NULL,     -- of the file
  entries  INTEGER NOT NULL,
  size     INTEGER NOT NULL,  -- bytes
  first_at INTEGER NOT NULL,  -- µs since 1970 of its earliest entry and of its latest
  last_at  INTEGER NOT NULL,
  digest   BLOB NOT NULL,     -- SHA-256 of its index, which holds the SHA-256 of each block
  moved    INTEGER NOT NULL,  -- 1 once none of its entries is in audit_entry any more
  PRIMARY KEY (lane, id)
) WITHOUT ROWID;
-- … and one for what it holds of each lane.
CREATE TABLE audit_archived (
  lane        INTEGER NOT NULL,
  archive     INTEGER NOT NULL, -- audit_archive.id
  first_seq   INTEGER NOT NULL,
  last_seq    INTEGER NOT NULL,
  first_batch INTEGER NOT NULL,
  last_batch  INTEGER NOT NULL,
  entries     INTEGER NOT NULL,
  gone        INTEGER NOT NULL, -- entries up to this one are read from the file, later ones are still in audit_entry
  PRIMARY KEY (lane, archive)
) WITHOUT ROWID;
