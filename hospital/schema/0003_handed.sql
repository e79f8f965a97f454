-- The message by which a slot was handed to the spine last; empty once it is the hospital's again.
ALTER TABLE hospital_slot ADD COLUMN handed TEXT NOT NULL DEFAULT '';
-- Slots that the spine would not take: nobody can book them until it is settled whose they are.
CREATE TABLE hospital_refused (
  lane    INTEGER NOT NULL,
  tenant  TEXT NOT NULL,
  message TEXT NOT NULL, -- that handed them over
  session TEXT NOT NULL,
  reason  TEXT NOT NULL, -- as the spine says
  at      INTEGER NOT NULL,
  PRIMARY KEY (lane, tenant, message)
) WITHOUT ROWID;
