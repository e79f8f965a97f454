-- What the measured handler does: one row for each message.
CREATE TABLE bench_deed (lane INTEGER NOT NULL, id TEXT NOT NULL, size INTEGER NOT NULL, PRIMARY KEY (lane, id)) WITHOUT ROWID;
