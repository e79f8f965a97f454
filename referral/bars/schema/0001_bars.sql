-- Messages that were done, by the organisation that sent them and the id of their Bundle, with what came of each.
CREATE TABLE bars_message (
	lane     INTEGER NOT NULL,
	sender   TEXT NOT NULL,
	message  TEXT NOT NULL,
	digest   BLOB NOT NULL,
	made     TEXT NOT NULL,
	at       INTEGER NOT NULL,
	PRIMARY KEY (lane, sender, message)
) WITHOUT ROWID;
