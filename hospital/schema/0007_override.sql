-- Up to when the hospital knows all that the spine knew: when the last comparison that was answered was asked for, and the message that answered it.
ALTER TABLE hospital_standing ADD COLUMN complete INTEGER NOT NULL DEFAULT 0;
ALTER TABLE hospital_standing ADD COLUMN completed TEXT NOT NULL DEFAULT '';
-- Somebody whom the clinic put into a slot of the spine's while there was no line: a possible clash, until a person has settled it.
CREATE TABLE hospital_override (
  lane    INTEGER NOT NULL,
  tenant  TEXT NOT NULL,
  session TEXT NOT NULL,
  slot    TEXT NOT NULL,
  who     TEXT NOT NULL, -- UBRN
  reason  TEXT NOT NULL,
  actor   TEXT NOT NULL,
  at      INTEGER NOT NULL,
  settled INTEGER NOT NULL, -- 0: open
  how     TEXT NOT NULL,    -- taken, moved, booked, taken-off, gone
  PRIMARY KEY (lane, tenant, session, slot, who)
) WITHOUT ROWID;
CREATE INDEX hospital_override_who ON hospital_override (tenant, who);
