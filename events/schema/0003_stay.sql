-- Versions of hospital stays of which the national node is still to be told.
CREATE TABLE events_stay (
	lane    INTEGER NOT NULL,
	tenant  TEXT NOT NULL,
	id      TEXT NOT NULL,
	ver     INTEGER NOT NULL,
	PRIMARY KEY (lane, tenant, id, ver)
) WITHOUT ROWID;
