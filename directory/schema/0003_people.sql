-- Who practises, under the code that the register of prescribers and consultants gave, or else under the resource's id.
CREATE TABLE directory_practitioner (
	lane   INTEGER NOT NULL,
	id     TEXT NOT NULL,
	code   TEXT NOT NULL,
	name   TEXT NOT NULL,
	folded TEXT NOT NULL,
	active INTEGER NOT NULL,
	PRIMARY KEY (lane, id)
) WITHOUT ROWID;
CREATE INDEX directory_practitioner_code ON directory_practitioner (code);
CREATE INDEX directory_practitioner_id ON directory_practitioner (id);
CREATE INDEX directory_practitioner_folded ON directory_practitioner (folded);

-- Every identifier that was issued to somebody who practises: number is its place, from 1.
CREATE TABLE directory_practitioner_identifier (
	lane     INTEGER NOT NULL,
	id       TEXT NOT NULL,
	number   INTEGER NOT NULL,
	system   TEXT NOT NULL,
	value    TEXT NOT NULL,
	issuer   TEXT NOT NULL,
	assigner TEXT NOT NULL,
	opened   TEXT NOT NULL,
	closed   TEXT NOT NULL,
	PRIMARY KEY (lane, id, number)
) WITHOUT ROWID;
CREATE INDEX directory_practitioner_identifier_id ON directory_practitioner_identifier (id, number);
CREATE INDEX directory_practitioner_identifier_value ON directory_practitioner_identifier (value);

-- The classification of a prescriber or consultant, what ties them to the organisation, and since and until when.
ALTER TABLE directory_job ADD COLUMN prescriber TEXT NOT NULL DEFAULT '';
ALTER TABLE directory_job ADD COLUMN membership TEXT NOT NULL DEFAULT '';
ALTER TABLE directory_job ADD COLUMN opened TEXT NOT NULL DEFAULT '';
ALTER TABLE directory_job ADD COLUMN closed TEXT NOT NULL DEFAULT '';

-- What services are chosen by. wait is in days, youngest and oldest in whole years; -1 where nothing is said.
ALTER TABLE directory_service ADD COLUMN name TEXT NOT NULL DEFAULT '';
ALTER TABLE directory_service ADD COLUMN field TEXT NOT NULL DEFAULT '';
ALTER TABLE directory_service ADD COLUMN kind TEXT NOT NULL DEFAULT '';
ALTER TABLE directory_service ADD COLUMN sex TEXT NOT NULL DEFAULT '';
ALTER TABLE directory_service ADD COLUMN wait INTEGER NOT NULL DEFAULT -1;
ALTER TABLE directory_service ADD COLUMN youngest INTEGER NOT NULL DEFAULT -1;
ALTER TABLE directory_service ADD COLUMN oldest INTEGER NOT NULL DEFAULT -1;

-- Each postcode of a loaded postcode file with the areas that it lies in: each as |KIND=CODE|, in one text. A file is loaded under an edition
-- of its own, and counts when directory_edition names it.
CREATE TABLE directory_postcode (
	lane     INTEGER NOT NULL,
	edition  INTEGER NOT NULL,
	postcode TEXT NOT NULL,
	areas    TEXT NOT NULL,
	PRIMARY KEY (lane, edition, postcode)
) WITHOUT ROWID;

CREATE TABLE directory_edition (
	lane    INTEGER NOT NULL,
	name    TEXT NOT NULL,
	edition INTEGER NOT NULL,
	PRIMARY KEY (lane, name)
) WITHOUT ROWID;
