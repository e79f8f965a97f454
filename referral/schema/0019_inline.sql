-- sqlite
-- A referral, and each of its versions, is longer than the quarter of a page that SQLite keeps of a row in a table WITHOUT ROWID: each took one page more, and the two tables were two thirds of the file. With a rowid a row
-- stands on one page, and the indexes do not repeat its key. What is longest is last, so that nothing else is read through it.
CREATE TABLE referral_case_inline (
	lane      INTEGER NOT NULL,
	chart     TEXT NOT NULL,
	ubrn      TEXT NOT NULL,
	version   INTEGER NOT NULL,
	state     TEXT NOT NULL,
	priority  TEXT NOT NULL,
	practice  TEXT NOT NULL,
	provider  TEXT NOT NULL,
	service   TEXT NOT NULL,
	since     INTEGER NOT NULL,
	starts    INTEGER NOT NULL,
	accepted  INTEGER NOT NULL,
	attended  INTEGER NOT NULL,
	closed    INTEGER NOT NULL,
	limit_day INTEGER NOT NULL DEFAULT -1,
	flagged   INTEGER NOT NULL DEFAULT -1,
	body      BLOB NOT NULL,
	PRIMARY KEY (lane, chart, ubrn)
);
INSERT INTO referral_case_inline (lane, chart, ubrn, version, state, priority, practice, provider, service, since, starts, accepted, attended, closed, limit_day, flagged, body)
	SELECT lane, chart, ubrn, version, state, priority, practice, provider, service, since, starts, accepted, attended, closed, limit_day, flagged, body FROM referral_case;
DROP TABLE referral_case;
ALTER TABLE referral_case_inline RENAME TO referral_case;
CREATE INDEX referral_case_practice ON referral_case (practice, state, since);
CREATE INDEX referral_case_provider ON referral_case (provider, state, since);
CREATE INDEX referral_case_service ON referral_case (service, state, since);
CREATE INDEX referral_case_flagged ON referral_case (flagged, limit_day);
CREATE TABLE referral_version_inline (
	lane         INTEGER NOT NULL,
	chart        TEXT NOT NULL,
	ubrn         TEXT NOT NULL,
	version      INTEGER NOT NULL,
	at           INTEGER NOT NULL,
	act          TEXT NOT NULL,
	actor        TEXT NOT NULL,
	actor_name   TEXT NOT NULL,
	party        TEXT NOT NULL,
	organisation TEXT NOT NULL,
	comment      TEXT NOT NULL,
	body         BLOB NOT NULL,
	PRIMARY KEY (lane, chart, ubrn, version)
);
INSERT INTO referral_version_inline (lane, chart, ubrn, version, at, act, actor, actor_name, party, organisation, comment, body)
	SELECT lane, chart, ubrn, version, at, act, actor, actor_name, party, organisation, comment, body FROM referral_version;
DROP TABLE referral_version;
ALTER TABLE referral_version_inline RENAME TO referral_version;
-- both
