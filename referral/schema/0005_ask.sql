-- Questions to hospitals' systems that keep their slots to themselves, to which the answer is not known yet: one for each referral. What is asked stands in the referral.
CREATE TABLE referral_ask (
	lane    INTEGER NOT NULL,
	chart   TEXT NOT NULL,
	ubrn    TEXT NOT NULL,
	message TEXT NOT NULL,
	tries   INTEGER NOT NULL,
	due     INTEGER NOT NULL,
	PRIMARY KEY (lane, chart, ubrn)
) WITHOUT ROWID;
CREATE INDEX referral_ask_due ON referral_ask (due);
