-- How somebody was told of an appointment of theirs, and by whom. A row goes when they have that time no more.
CREATE TABLE hospital_informed (
  lane    INTEGER NOT NULL,
  tenant  TEXT NOT NULL,
  who     TEXT NOT NULL, -- the UBRN of the pathway
  session TEXT NOT NULL,
  slot    TEXT NOT NULL,
  at      INTEGER NOT NULL,
  how     TEXT NOT NULL, -- letter, telephone, person
  actor   TEXT NOT NULL,
  PRIMARY KEY (lane, tenant, who, session, slot)
) WITHOUT ROWID;
