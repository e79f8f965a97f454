-- Whoever waits for the provider to find a date, in the order in which they are offered a time that comes free: 1 for two weeks, 2 for urgent, 3 for routine, then since when. Offered says until when a time is
-- held for them, 0 while none is; the last four are its slot.
CREATE TABLE referral_wait (
	lane       INTEGER NOT NULL,
	chart      TEXT NOT NULL,
	ubrn       TEXT NOT NULL,
	service    TEXT NOT NULL,
	precedence INTEGER NOT NULL,
	since      INTEGER NOT NULL,
	offered    INTEGER NOT NULL,
	offers     INTEGER NOT NULL,
	slot_lane  INTEGER NOT NULL,
	provider   TEXT NOT NULL,
	session    TEXT NOT NULL,
	slot       TEXT NOT NULL,
	PRIMARY KEY (lane, chart, ubrn)
) WITHOUT ROWID;
CREATE INDEX referral_wait_next ON referral_wait (service, offered, precedence, since);
CREATE INDEX referral_wait_due ON referral_wait (offered);
INSERT INTO referral_wait (lane, chart, ubrn, service, precedence, since, offered, offers, slot_lane, provider, session, slot)
	SELECT lane, chart, ubrn, service, CASE priority WHEN 'TWO_WEEK_WAIT' THEN 1 WHEN 'URGENT' THEN 2 ELSE 3 END, since, 0, 0, 0, '', '', '' FROM referral_case WHERE state = 'DEFERRED_TO_PROVIDER' AND closed = 0;
