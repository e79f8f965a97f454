-- How somebody's coming to the appointment of their referral stands, as the hospital said last: one for each referral. It is so of the slot that it names alone.
CREATE TABLE referral_come (
	lane    INTEGER NOT NULL,
	chart   TEXT NOT NULL,
	ubrn    TEXT NOT NULL,
	slot    TEXT NOT NULL,
	state   TEXT NOT NULL,
	at      INTEGER NOT NULL,
	PRIMARY KEY (lane, chart, ubrn)
) WITHOUT ROWID;
