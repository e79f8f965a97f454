-- By what else than its id a service is named by those who send it bookings and referrals (BaRS), and which Endpoint of the directory takes them: one row for each
-- pair. Services that have neither have no row.
CREATE TABLE directory_target (
	lane     INTEGER NOT NULL,
	id       TEXT NOT NULL,
	named    TEXT NOT NULL,
	endpoint TEXT NOT NULL,
	PRIMARY KEY (lane, id, named, endpoint)
) WITHOUT ROWID;
CREATE INDEX directory_target_named ON directory_target (named, id);

-- The addresses of Endpoints that take bookings and referrals (payload type bars) now.
CREATE TABLE directory_address (
	lane    INTEGER NOT NULL,
	id      TEXT NOT NULL,
	address TEXT NOT NULL,
	PRIMARY KEY (lane, id)
) WITHOUT ROWID;
