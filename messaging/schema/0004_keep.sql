-- Files that a service keeps for good, messages or none, each under a name that says what keeps it.
CREATE TABLE post_keep (lane INTEGER NOT NULL, hash BLOB NOT NULL, keeper TEXT NOT NULL,
	PRIMARY KEY (lane, hash, keeper)) WITHOUT ROWID;
CREATE INDEX post_keep_hash ON post_keep (hash);
