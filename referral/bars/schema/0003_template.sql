-- Templates of endpoints, as they were published, by whose they are.
CREATE TABLE bars_template (
	lane    INTEGER NOT NULL,
	id      TEXT NOT NULL,
	owner   TEXT NOT NULL,
	body    BLOB NOT NULL,
	changed INTEGER NOT NULL,
	PRIMARY KEY (lane, id)
) WITHOUT ROWID;
