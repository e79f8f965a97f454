-- What happened to a person, by the kinds that the national notification service names: one row for each kind of each version. seq is that
-- of the version in its lane's feed.
CREATE TABLE demographics_event (
  lane INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  kind TEXT NOT NULL,
  person TEXT NOT NULL,
  ver INTEGER NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (lane, seq, kind)
) WITHOUT ROWID;
