-- The outpatient clinics of the hospitals of a node. All that one hospital's clinics keep stands in one lane (Outpatients.lane): a booking, the slot it
-- is in and the referral it is for change together. Times are microseconds since 1970.

-- Consultants see patients, in a specialty. login is how they sign in, where they do.
CREATE TABLE hospital_consultant (
  lane       INTEGER NOT NULL,
  tenant     TEXT NOT NULL,
  id         TEXT NOT NULL,
  name       TEXT NOT NULL,
  specialty  TEXT NOT NULL, -- its code
  login      TEXT NOT NULL,
  PRIMARY KEY (lane, tenant, id)
) WITHOUT ROWID;
CREATE TABLE hospital_specialty (
  lane   INTEGER NOT NULL,
  tenant TEXT NOT NULL,
  code   TEXT NOT NULL,
  name   TEXT NOT NULL,
  PRIMARY KEY (lane, tenant, code)
) WITHOUT ROWID;
-- A clinic offers one HealthcareService of the directory.
CREATE TABLE hospital_clinic (
  lane       INTEGER NOT NULL,
  tenant     TEXT NOT NULL,
  id         TEXT NOT NULL,
  name       TEXT NOT NULL,
  service    TEXT NOT NULL, -- the directory's id
  specialty  TEXT NOT NULL,
  consultant TEXT NOT NULL,
  place      TEXT NOT NULL,
  closed     INTEGER NOT NULL,
  PRIMARY KEY (lane, tenant, id)
) WITHOUT ROWID;
-- A template makes a session on one day of each week.
CREATE TABLE hospital_template (
  lane    INTEGER NOT NULL,
  tenant  TEXT NOT NULL,
  id      TEXT NOT NULL,
  clinic  TEXT NOT NULL,
  weekday INTEGER NOT NULL, -- 0 Sunday
  starts  INTEGER NOT NULL, -- minutes of the day
  minutes INTEGER NOT NULL, -- of each slot
  slots   INTEGER NOT NULL,
  reserve INTEGER NOT NULL, -- slots at the end that are never given to the spine
  extra   INTEGER NOT NULL, -- how many more the clinic may put in by hand
  given   INTEGER NOT NULL, -- 1: the others are given to the spine
  from_day INTEGER NOT NULL,
  to_day   INTEGER NOT NULL, -- 0: no end
  PRIMARY KEY (lane, tenant, id)
) WITHOUT ROWID;
CREATE TABLE hospital_session (
  lane    INTEGER NOT NULL,
  tenant  TEXT NOT NULL,
  id      TEXT NOT NULL,
  clinic  TEXT NOT NULL,
  starts  INTEGER NOT NULL,
  ends    INTEGER NOT NULL,
  minutes INTEGER NOT NULL,
  extra   INTEGER NOT NULL, -- how many slots may be put in by hand
  state   TEXT NOT NULL,    -- open, recalled, withdrawn
  reason  TEXT NOT NULL,
  PRIMARY KEY (lane, tenant, id)
) WITHOUT ROWID;
CREATE INDEX hospital_session_day ON hospital_session (tenant, starts, id);
-- A slot is one time for one person. epoch is what booking.Epoch says; base is the epoch at which its present owner came to have it: bookings of before are over.
CREATE TABLE hospital_slot (
  lane    INTEGER NOT NULL,
  tenant  TEXT NOT NULL,
  session TEXT NOT NULL,
  id      TEXT NOT NULL,
  epoch   INTEGER NOT NULL,
  base    INTEGER NOT NULL,
  starts  INTEGER NOT NULL,
  ends    INTEGER NOT NULL,
  kind    TEXT NOT NULL, -- offered, reserve, extra
  PRIMARY KEY (lane, tenant, session, id)
) WITHOUT ROWID;
CREATE INDEX hospital_slot_time ON hospital_slot (tenant, starts, session, id);
-- Somebody whom the hospital itself put into a slot: one for each slot and epoch. who is a UBRN, or the id of a booking of the hospital's own.
CREATE TABLE hospital_hold (
  lane    INTEGER NOT NULL,
  tenant  TEXT NOT NULL,
  session TEXT NOT NULL,
  slot    TEXT NOT NULL,
  epoch   INTEGER NOT NULL,
  who     TEXT NOT NULL,
  at      INTEGER NOT NULL,
  PRIMARY KEY (lane, tenant, session, slot, epoch)
) WITHOUT ROWID;
CREATE INDEX hospital_hold_who ON hospital_hold (tenant, who);
-- A referral as the spine last told of it, and the chart of its person here.
CREATE TABLE hospital_case (
  lane     INTEGER NOT NULL,
  tenant   TEXT NOT NULL,
  ubrn     TEXT NOT NULL,
  version  INTEGER NOT NULL,
  state    TEXT NOT NULL,
  gone     INTEGER NOT NULL,
  priority TEXT NOT NULL,
  service  TEXT NOT NULL,
  number   TEXT NOT NULL, -- the person's NHS number
  chart    TEXT NOT NULL, -- '' until they are a patient here
  session  TEXT NOT NULL, -- of the appointment; '' for none
  slot     TEXT NOT NULL,
  epoch    INTEGER NOT NULL,
  starts   INTEGER NOT NULL,
  clock    INTEGER NOT NULL, -- when the wait for treatment began
  received INTEGER NOT NULL, -- when it first came
  sent     INTEGER NOT NULL, -- the count of the spine's messages
  body     BLOB NOT NULL,    -- booking.Case
  PRIMARY KEY (lane, tenant, ubrn)
) WITHOUT ROWID;
CREATE INDEX hospital_case_slot ON hospital_case (tenant, session, slot);
CREATE INDEX hospital_case_chart ON hospital_case (tenant, chart, ubrn);
CREATE INDEX hospital_case_sent ON hospital_case (tenant, sent);
CREATE INDEX hospital_case_state ON hospital_case (tenant, gone, state, received);
-- What the hospital decided of a referral, and what the spine answered.
CREATE TABLE hospital_act (
  lane    INTEGER NOT NULL,
  tenant  TEXT NOT NULL,
  ubrn    TEXT NOT NULL,
  number  INTEGER NOT NULL,
  kind    TEXT NOT NULL,
  body    BLOB NOT NULL, -- booking.Act
  actor   TEXT NOT NULL,
  at      INTEGER NOT NULL,
  message TEXT NOT NULL,
  state   TEXT NOT NULL, -- waiting, confirmed, refused, dealt
  answer  TEXT NOT NULL,
  PRIMARY KEY (lane, tenant, ubrn, number)
) WITHOUT ROWID;
CREATE INDEX hospital_act_state ON hospital_act (tenant, state, at);
-- The pathway of a person through outpatients: the hospital's own, whatever becomes of the referral at the spine. who is a UBRN.
CREATE TABLE hospital_pathway (
  lane     INTEGER NOT NULL,
  tenant   TEXT NOT NULL,
  who      TEXT NOT NULL,
  review   TEXT NOT NULL,    -- waiting, accepted, rejected, triaged, returned
  clock    INTEGER NOT NULL, -- referral to treatment: since when
  status   TEXT NOT NULL,    -- the latest status code
  stopped  INTEGER NOT NULL, -- 0 while it runs
  closed   INTEGER NOT NULL, -- discharged, or gone elsewhere
  rebook   INTEGER NOT NULL, -- since when somebody must find another time; 0
  reason   TEXT NOT NULL,    -- why
  PRIMARY KEY (lane, tenant, who)
) WITHOUT ROWID;
CREATE INDEX hospital_pathway_wait ON hospital_pathway (tenant, closed, stopped, clock);
CREATE INDEX hospital_pathway_rebook ON hospital_pathway (tenant, rebook);
-- One coming of a person to a clinic, at a slot and epoch: of the referral's appointment, or booked by the hospital itself (follow-ups).
CREATE TABLE hospital_visit (
  lane    INTEGER NOT NULL,
  tenant  TEXT NOT NULL,
  session TEXT NOT NULL,
  slot    TEXT NOT NULL,
  epoch   INTEGER NOT NULL,
  who     TEXT NOT NULL, -- the UBRN of the pathway
  kind    TEXT NOT NULL, -- referral, follow-up
  state   TEXT NOT NULL, -- booked, arrived, attended, did-not-attend, cancelled
  outcome TEXT NOT NULL, -- '', discharged, follow-up, treatment, watch
  status  TEXT NOT NULL, -- of referral to treatment
  note    TEXT NOT NULL,
  arrived INTEGER NOT NULL,
  ended   INTEGER NOT NULL,
  actor   TEXT NOT NULL,
  PRIMARY KEY (lane, tenant, session, slot, epoch, who)
) WITHOUT ROWID;
CREATE INDEX hospital_visit_who ON hospital_visit (tenant, who);
-- What happened on a pathway, in order.
CREATE TABLE hospital_event (
  lane   INTEGER NOT NULL,
  tenant TEXT NOT NULL,
  who    TEXT NOT NULL,
  at     INTEGER NOT NULL,
  what   TEXT NOT NULL,
  detail TEXT NOT NULL,
  actor  TEXT NOT NULL,
  PRIMARY KEY (lane, tenant, who, at)
) WITHOUT ROWID;
-- The hospital's index of persons by NHS number, for referrals.
CREATE TABLE hospital_person (
  lane    INTEGER NOT NULL,
  tenant  TEXT NOT NULL,
  number  TEXT NOT NULL,
  chart   TEXT NOT NULL,
  state   TEXT NOT NULL, -- same, differs, untraced, settled
  differs TEXT NOT NULL, -- what the referral says otherwise
  at      INTEGER NOT NULL,
  actor   TEXT NOT NULL, -- who settled it
  PRIMARY KEY (lane, tenant, number)
) WITHOUT ROWID;
-- How the hospital stands with the spine: one row.
CREATE TABLE hospital_standing (
  lane        INTEGER NOT NULL,
  tenant      TEXT NOT NULL,
  incarnation TEXT NOT NULL, -- of the database when it was last sure
  sure        INTEGER NOT NULL,
  round       TEXT NOT NULL, -- of its last question
  asked       INTEGER NOT NULL,
  answered    INTEGER NOT NULL,
  owed        TEXT NOT NULL, -- the round of a question that it has not answered
  PRIMARY KEY (lane, tenant)
) WITHOUT ROWID;
-- Pages of tallies until the last has come.
CREATE TABLE hospital_tally (
  lane   INTEGER NOT NULL,
  tenant TEXT NOT NULL,
  round  TEXT NOT NULL,
  page   INTEGER NOT NULL,
  body   BLOB NOT NULL,
  PRIMARY KEY (lane, tenant, round, page)
) WITHOUT ROWID;
-- What the last rounds found to differ.
CREATE TABLE hospital_difference (
  lane   INTEGER NOT NULL,
  tenant TEXT NOT NULL,
  kind   TEXT NOT NULL, -- slot, case
  thing  TEXT NOT NULL,
  mine   INTEGER NOT NULL,
  theirs INTEGER NOT NULL,
  why    TEXT NOT NULL, -- the word for its explanation
  since  INTEGER NOT NULL,
  rounds INTEGER NOT NULL, -- how many found it so
  PRIMARY KEY (lane, tenant, kind, thing)
) WITHOUT ROWID;
