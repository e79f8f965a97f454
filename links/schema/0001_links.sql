-- Lines of text that people who run the network send one another, to see that the post goes through: one row where it was sent (way 1)
-- and one where it was handled (way 2). state is messaging's.
CREATE TABLE links_line (
	lane   INTEGER NOT NULL,
	way    INTEGER NOT NULL,
	id     TEXT NOT NULL,
	at     INTEGER NOT NULL,
	sender TEXT NOT NULL,
	recipient TEXT NOT NULL,
	writer TEXT NOT NULL,
	line   TEXT NOT NULL,
	state  INTEGER NOT NULL,
	since  INTEGER NOT NULL,
	reason TEXT NOT NULL,
	PRIMARY KEY (lane, way, id)
) WITHOUT ROWID;
CREATE INDEX links_line_at ON links_line (at, id, way);
