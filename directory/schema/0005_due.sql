-- What is in use and has a last day: after that day it is closed. One row for each such resource.
CREATE TABLE directory_due (
	lane INTEGER NOT NULL,
	kind TEXT NOT NULL,
	id   TEXT NOT NULL,
	day  TEXT NOT NULL,
	PRIMARY KEY (lane, kind, id)
) WITHOUT ROWID;
CREATE INDEX directory_due_day ON directory_due (day);
