-- FHIR messages that were taken. side is 1 for one that was sent on by the post, 2 for one that was handled here; state 1 waits for its answer, 2 is answered. reply is
-- where the answer goes when the sender does not wait for it; source is the header as it was sent, digest tells whether another with its id says the same.
CREATE TABLE fhirmessage_taken (lane INTEGER NOT NULL, sender TEXT NOT NULL, header TEXT NOT NULL, side INTEGER NOT NULL,
	recipient TEXT NOT NULL, bundle TEXT NOT NULL, digest BLOB NOT NULL, event TEXT NOT NULL, state INTEGER NOT NULL, post TEXT NOT NULL,
	reply TEXT NOT NULL, source BLOB NOT NULL, at INTEGER NOT NULL, answer BLOB NOT NULL,
	PRIMARY KEY (lane, sender, header, side)) WITHOUT ROWID;
CREATE INDEX fhirmessage_bundle ON fhirmessage_taken (sender, bundle) WHERE bundle <> '';
CREATE INDEX fhirmessage_at ON fhirmessage_taken (lane, at);
