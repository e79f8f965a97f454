-- Pointers to bookings and referrals, as their custodians wrote them, in the lane of the patient's chart in the national tenant.
CREATE TABLE bars_pointer (
	lane      INTEGER NOT NULL,
	chart     TEXT NOT NULL,
	id        TEXT NOT NULL,
	custodian TEXT NOT NULL,
	kind      TEXT NOT NULL,
	named     TEXT NOT NULL,
	body      BLOB NOT NULL,
	created   INTEGER NOT NULL,
	changed   INTEGER NOT NULL,
	PRIMARY KEY (lane, chart, id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX bars_pointer_id ON bars_pointer (id);
