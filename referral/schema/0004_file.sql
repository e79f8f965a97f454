-- Files that were uploaded, in the lane of their id: to go with a referral or a question for advice, or gone with one. The bytes are the post's, kept once by their hash.
CREATE TABLE referral_file (
	lane         INTEGER NOT NULL,
	id           TEXT NOT NULL,
	ubrn         TEXT NOT NULL, -- what it is attached to; '' until then
	chart        TEXT NOT NULL,
	intended     TEXT NOT NULL, -- the UBRN that it was uploaded for; '' for none
	title        TEXT NOT NULL,
	mime         TEXT NOT NULL,
	bytes        INTEGER NOT NULL,
	hash         TEXT NOT NULL,
	uploader     TEXT NOT NULL,
	uploaded_by  TEXT NOT NULL,
	organisation TEXT NOT NULL,
	behalf       TEXT NOT NULL,
	at           INTEGER NOT NULL,
	PRIMARY KEY (lane, id)
) WITHOUT ROWID;
CREATE INDEX referral_file_loose ON referral_file (ubrn, at);

-- Addresses under which a file can be had for a short while, by the hash of their secret.
CREATE TABLE referral_ticket (
	lane   INTEGER NOT NULL,
	ticket TEXT NOT NULL,
	id     TEXT NOT NULL,
	until  INTEGER NOT NULL,
	PRIMARY KEY (lane, ticket)
) WITHOUT ROWID;
