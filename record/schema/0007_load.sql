-- How far a load of many resources came, written in the commit of each batch: a load that is cut off goes on after the last.
CREATE TABLE record_load (
  lane    INTEGER NOT NULL,
  load    TEXT NOT NULL,
  done    INTEGER NOT NULL, -- resources that were looked at, in the load's own order
  refused INTEGER NOT NULL, -- of those
  PRIMARY KEY (lane, load)
) WITHOUT ROWID;
