-- What organisations are found by. The facts are in the record; these rows are written in the same transaction as the resource.
-- address: each part folded, with | before it; postcode: without spaces; at: when the resource was written, in µs.
CREATE TABLE directory_organisation (
	lane     INTEGER NOT NULL,
	code     TEXT NOT NULL,
	name     TEXT NOT NULL,
	folded   TEXT NOT NULL,
	town     TEXT NOT NULL,
	foldtown TEXT NOT NULL,
	county   TEXT NOT NULL,
	address  TEXT NOT NULL,
	postcode TEXT NOT NULL,
	outward  TEXT NOT NULL,
	country  TEXT NOT NULL,
	state    TEXT NOT NULL,
	active   INTEGER NOT NULL,
	site     INTEGER NOT NULL,
	setting  TEXT NOT NULL,
	role     TEXT NOT NULL,
	opened   TEXT NOT NULL,
	closed   TEXT NOT NULL,
	changed  TEXT NOT NULL,
	source   TEXT NOT NULL,
	at       INTEGER NOT NULL,
	PRIMARY KEY (lane, code)
) WITHOUT ROWID;
CREATE INDEX directory_organisation_code ON directory_organisation (code);
CREATE INDEX directory_organisation_folded ON directory_organisation (folded);
CREATE INDEX directory_organisation_postcode ON directory_organisation (postcode);

-- Each word of a name, with what it is short for, and how it sounds.
CREATE TABLE directory_word (
	lane  INTEGER NOT NULL,
	code  TEXT NOT NULL,
	word  TEXT NOT NULL,
	sound TEXT NOT NULL,
	PRIMARY KEY (lane, code, word)
) WITHOUT ROWID;
CREATE INDEX directory_word_word ON directory_word (word, code);

CREATE TABLE directory_role (
	lane     INTEGER NOT NULL,
	code     TEXT NOT NULL,
	role     TEXT NOT NULL,
	number   INTEGER NOT NULL,
	active   INTEGER NOT NULL,
	instance INTEGER NOT NULL,
	opened   TEXT NOT NULL,
	closed   TEXT NOT NULL,
	PRIMARY KEY (lane, code, number)
) WITHOUT ROWID;
CREATE INDEX directory_role_role ON directory_role (role, active, code);
CREATE INDEX directory_role_instance ON directory_role (instance);

CREATE TABLE directory_succession (
	lane      INTEGER NOT NULL,
	code      TEXT NOT NULL,
	successor TEXT NOT NULL,
	at        TEXT NOT NULL,
	PRIMARY KEY (lane, code, successor)
) WITHOUT ROWID;
CREATE INDEX directory_succession_successor ON directory_succession (successor);

CREATE TABLE directory_relation (
	lane   INTEGER NOT NULL,
	id     TEXT NOT NULL,
	kind   TEXT NOT NULL,
	source TEXT NOT NULL,
	target TEXT NOT NULL,
	active INTEGER NOT NULL,
	opened TEXT NOT NULL,
	closed TEXT NOT NULL,
	PRIMARY KEY (lane, id)
) WITHOUT ROWID;
CREATE INDEX directory_relation_source ON directory_relation (source, id);
CREATE INDEX directory_relation_target ON directory_relation (target, id);
