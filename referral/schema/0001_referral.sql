-- Referrals, one row each, in the lane of the patient's chart in the national tenant: what worklists go by, and the whole as JSON.
CREATE TABLE referral_case (
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
	body      BLOB NOT NULL,
	PRIMARY KEY (lane, chart, ubrn)
) WITHOUT ROWID;
CREATE INDEX referral_case_practice ON referral_case (practice, state, since);
CREATE INDEX referral_case_provider ON referral_case (provider, state, since);
CREATE INDEX referral_case_service ON referral_case (service, state, since);

-- Every version that a referral has had, with who made it, when and why.
CREATE TABLE referral_version (
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
) WITHOUT ROWID;

-- Letters, by the hash of their text: each is kept once for a person.
CREATE TABLE referral_letter (
	lane  INTEGER NOT NULL,
	chart TEXT NOT NULL,
	hash  TEXT NOT NULL,
	words TEXT NOT NULL,
	PRIMARY KEY (lane, chart, hash)
) WITHOUT ROWID;

-- Forms that made a referral, so that one that is sent twice makes one.
CREATE TABLE referral_form (
	lane  INTEGER NOT NULL,
	chart TEXT NOT NULL,
	form  TEXT NOT NULL,
	ubrn  TEXT NOT NULL,
	PRIMARY KEY (lane, chart, form)
) WITHOUT ROWID;

-- Whose a UBRN is, in the lane of the UBRN: a number that stands here is never given again. With the hash of its password.
CREATE TABLE referral_number (
	lane     INTEGER NOT NULL,
	ubrn     TEXT NOT NULL,
	chart    TEXT NOT NULL,
	salt     BLOB NOT NULL,
	password BLOB NOT NULL,
	PRIMARY KEY (lane, ubrn)
) WITHOUT ROWID;

-- How often a UBRN was tried with a wrong password, whether there is such a UBRN or not.
CREATE TABLE referral_try (
	lane  INTEGER NOT NULL,
	ubrn  TEXT NOT NULL,
	tries INTEGER NOT NULL,
	last  INTEGER NOT NULL,
	PRIMARY KEY (lane, ubrn)
) WITHOUT ROWID;

-- Patients who have come in by their UBRN, for a while; by the hash of their secret.
CREATE TABLE referral_visit (
	lane   INTEGER NOT NULL,
	secret TEXT NOT NULL,
	ubrn   TEXT NOT NULL,
	chart  TEXT NOT NULL,
	until  INTEGER NOT NULL,
	PRIMARY KEY (lane, secret)
) WITHOUT ROWID;

-- Slots that hospitals have handed to the spine, in the lane of their session. An even epoch says that the hospital owns it.
CREATE TABLE referral_slot (
	lane      INTEGER NOT NULL,
	provider  TEXT NOT NULL,
	session   TEXT NOT NULL,
	slot      TEXT NOT NULL,
	epoch     INTEGER NOT NULL,
	service   TEXT NOT NULL,
	starts    INTEGER NOT NULL,
	ends      INTEGER NOT NULL,
	clinician TEXT NOT NULL,
	state     INTEGER NOT NULL,
	ubrn      TEXT NOT NULL,
	chart     TEXT NOT NULL,
	holder    TEXT NOT NULL,
	held      INTEGER NOT NULL,
	recalled  INTEGER NOT NULL,
	reason    TEXT NOT NULL,
	PRIMARY KEY (lane, provider, session, slot)
) WITHOUT ROWID;
CREATE INDEX referral_slot_free ON referral_slot (service, state, recalled, starts);
CREATE INDEX referral_slot_due ON referral_slot (state, recalled, starts);

-- One booking for each slot and epoch, while it stands: the key makes a second one impossible.
CREATE TABLE referral_booking (
	lane     INTEGER NOT NULL,
	provider TEXT NOT NULL,
	session  TEXT NOT NULL,
	slot     TEXT NOT NULL,
	epoch    INTEGER NOT NULL,
	ubrn     TEXT NOT NULL,
	PRIMARY KEY (lane, provider, session, slot, epoch)
) WITHOUT ROWID;

-- When the spine last heard from a hospital, in each lane.
CREATE TABLE referral_heard (
	lane     INTEGER NOT NULL,
	provider TEXT NOT NULL,
	at       INTEGER NOT NULL,
	PRIMARY KEY (lane, provider)
) WITHOUT ROWID;
