-- A person to be called back, and why: one row for each result that asks for it.
CREATE TABLE recall_entry (
	lane    INTEGER NOT NULL,
	tenant  TEXT NOT NULL,
	chart   TEXT NOT NULL,
	result  TEXT NOT NULL,
	at      INTEGER NOT NULL,
	overdue INTEGER NOT NULL,
	PRIMARY KEY (lane, tenant, chart, result)
) WITHOUT ROWID;
