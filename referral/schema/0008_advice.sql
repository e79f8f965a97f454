-- Questions for advice, one row each, in the lane of the patient's chart in the national tenant: what worklists go by, and the whole with its conversation as JSON.
CREATE TABLE referral_advice (
	lane     INTEGER NOT NULL,
	chart    TEXT NOT NULL,
	ubrn     TEXT NOT NULL,
	version  INTEGER NOT NULL,
	state    TEXT NOT NULL,
	practice TEXT NOT NULL,
	provider TEXT NOT NULL,
	changed  INTEGER NOT NULL,
	body     BLOB NOT NULL,
	PRIMARY KEY (lane, chart, ubrn)
) WITHOUT ROWID;
CREATE INDEX referral_advice_provider ON referral_advice (provider, state, changed);
CREATE INDEX referral_advice_practice ON referral_advice (practice, state, changed);
