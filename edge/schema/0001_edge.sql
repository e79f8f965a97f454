-- Files that a local system put into the outbox and that were sent: key is the folder in which the file was taken, id the message. A row goes when the
-- last receipt is written.
CREATE TABLE edge_sent (
	lane   INTEGER NOT NULL,
	key    TEXT NOT NULL,
	id     TEXT NOT NULL,
	name   TEXT NOT NULL,
	told   INTEGER NOT NULL,
	PRIMARY KEY (lane, key)
) WITHOUT ROWID;
