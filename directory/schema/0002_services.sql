-- The areas that an organisation lies in.
CREATE TABLE directory_area (
	lane INTEGER NOT NULL,
	code TEXT NOT NULL,
	kind TEXT NOT NULL,
	area TEXT NOT NULL,
	PRIMARY KEY (lane, code, kind)
) WITHOUT ROWID;
CREATE INDEX directory_area_area ON directory_area (area, kind);

-- What was taken out of the register, not ended: list is organization, relation, role or succession; item is whose, other what.
CREATE TABLE directory_deletion (
	lane  INTEGER NOT NULL,
	list  TEXT NOT NULL,
	item  TEXT NOT NULL,
	other TEXT NOT NULL,
	at    INTEGER NOT NULL,
	PRIMARY KEY (lane, list, item, other)
) WITHOUT ROWID;

-- Who works where, and as what: one row for each practitioner role.
CREATE TABLE directory_job (
	lane         INTEGER NOT NULL,
	id           TEXT NOT NULL,
	practitioner TEXT NOT NULL,
	organisation TEXT NOT NULL,
	role         TEXT NOT NULL,
	active       INTEGER NOT NULL,
	PRIMARY KEY (lane, id)
) WITHOUT ROWID;
CREATE INDEX directory_job_organisation ON directory_job (organisation, id);
CREATE INDEX directory_job_practitioner ON directory_job (practitioner, id);

-- What an organisation offers: one row for each healthcare service.
CREATE TABLE directory_service (
	lane         INTEGER NOT NULL,
	id           TEXT NOT NULL,
	organisation TEXT NOT NULL,
	specialty    TEXT NOT NULL,
	folded       TEXT NOT NULL,
	active       INTEGER NOT NULL,
	PRIMARY KEY (lane, id)
) WITHOUT ROWID;
CREATE INDEX directory_service_organisation ON directory_service (organisation, id);
CREATE INDEX directory_service_specialty ON directory_service (specialty, id);

-- The places of an organisation.
CREATE TABLE directory_place (
	lane         INTEGER NOT NULL,
	id           TEXT NOT NULL,
	organisation TEXT NOT NULL,
	name         TEXT NOT NULL,
	active       INTEGER NOT NULL,
	PRIMARY KEY (lane, id)
) WITHOUT ROWID;
CREATE INDEX directory_place_organisation ON directory_place (organisation, id);

-- Which system answers for whom, and for which interaction: one row for each interaction of a Device (kind device) or Endpoint
-- (kind endpoint); interaction is empty for one that names none.
CREATE TABLE directory_system (
	lane         INTEGER NOT NULL,
	kind         TEXT NOT NULL,
	id           TEXT NOT NULL,
	interaction  TEXT NOT NULL,
	organisation TEXT NOT NULL,
	party        TEXT NOT NULL,
	maker        TEXT NOT NULL,
	active       INTEGER NOT NULL,
	PRIMARY KEY (lane, kind, id, interaction)
) WITHOUT ROWID;
CREATE INDEX directory_system_organisation ON directory_system (organisation, kind, interaction, id);
CREATE INDEX directory_system_party ON directory_system (party, kind, interaction, id);

-- The keys given out to applications: a hash, never the key.
CREATE TABLE directory_key (
	lane  INTEGER NOT NULL,
	hash  TEXT NOT NULL,
	name  TEXT NOT NULL,
	at    INTEGER NOT NULL,
	ended INTEGER NOT NULL,
	PRIMARY KEY (lane, hash)
) WITHOUT ROWID;

-- A file that an administrator has sent and not yet agreed to.
CREATE TABLE directory_upload (
	lane   INTEGER NOT NULL,
	id     TEXT NOT NULL,
	name   TEXT NOT NULL,
	report TEXT NOT NULL,
	owner  TEXT NOT NULL,
	at     INTEGER NOT NULL,
	body   BLOB NOT NULL,
	PRIMARY KEY (lane, id)
) WITHOUT ROWID;

-- Where the postcodes of an outward code lie on average, as a loaded postcode file says.
CREATE TABLE directory_outward (
	lane      INTEGER NOT NULL,
	outward   TEXT NOT NULL,
	latitude  REAL NOT NULL,
	longitude REAL NOT NULL,
	postcodes INTEGER NOT NULL,
	PRIMARY KEY (lane, outward)
) WITHOUT ROWID;
