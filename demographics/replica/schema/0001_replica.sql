-- What a hospital knows of the number of each of its patients: one row for each Patient that stands, beside its chart.
-- Nothing of what the authority says is kept here but fingerprints: the copy itself is the hospital's Patient.
CREATE TABLE replica_person (
  lane        INTEGER NOT NULL,
  tenant      TEXT NOT NULL,
  id          TEXT NOT NULL,    -- of the hospital's Patient
  number      TEXT NOT NULL,    -- NHS number, '' for none
  hidden      INTEGER NOT NULL, -- 1: the hospital's own record is restricted
  state       TEXT NOT NULL,
  since       INTEGER NOT NULL, -- µs since 1970: when it came into this state
  ver         INTEGER NOT NULL, -- of the hospital's Patient, as it stands
  compared    INTEGER NOT NULL, -- and as it was last compared; 0 never
  version     INTEGER NOT NULL, -- of the authority's record that it was last compared with; 0 none
  checked     INTEGER NOT NULL, -- when the authority last answered; 0 never
  due         INTEGER NOT NULL, -- when it is to be asked again
  tries       INTEGER NOT NULL, -- failures since it last answered
  survivor    TEXT NOT NULL,    -- the number that a superseded one answers with
  probability INTEGER NOT NULL, -- millionths: that both records are of one person
  pattern     INTEGER NOT NULL, -- match.Pattern
  differs     TEXT NOT NULL,    -- the national elements of which the hospital says otherwise
  base        TEXT NOT NULL,    -- fingerprints of what was copied and decided, as JSON
  settled     INTEGER NOT NULL, -- when a person decided; 0 never
  settled_by  TEXT NOT NULL,
  reason      TEXT NOT NULL,
  PRIMARY KEY (lane, tenant, id)
) WITHOUT ROWID;
CREATE INDEX replica_person_state ON replica_person (tenant, state, hidden, since, id);
CREATE INDEX replica_person_due ON replica_person (tenant, due, id);
CREATE INDEX replica_person_number ON replica_person (tenant, number);
-- The way to the authority, one row for each hospital.
CREATE TABLE replica_link (
  lane      INTEGER NOT NULL,
  tenant    TEXT NOT NULL,
  answered  INTEGER NOT NULL, -- when it last answered; 0 never
  failing   INTEGER NOT NULL, -- since when it does not; 0 while it does
  tries     INTEGER NOT NULL, -- failures since it last answered
  again     INTEGER NOT NULL, -- not asked before then
  error     TEXT NOT NULL,
  paused    INTEGER NOT NULL, -- since when a person has stopped it; 0 while it goes
  paused_by TEXT NOT NULL,
  reason    TEXT NOT NULL,
  PRIMARY KEY (lane, tenant)
) WITHOUT ROWID;
