-- The account. What repeats is kept once per lane (who, about whom, what for) and named by a small number,
-- so that an entry is short; a seal covers the words, not the numbers.
CREATE TABLE audit_entry (
  lane    INTEGER NOT NULL,
  seq     INTEGER NOT NULL,   -- 1, 2, 3 … without gaps
  at      INTEGER NOT NULL,   -- µs since 1970
  chart   INTEGER NOT NULL,   -- audit_chart.id
  actor   INTEGER NOT NULL,   -- audit_actor.id
  act     INTEGER NOT NULL,   -- audit_act.id
  detail  TEXT,
  request BLOB,               -- 16 bytes of a UUID, or the text of another id
  PRIMARY KEY (lane, seq)
) WITHOUT ROWID;
CREATE INDEX audit_entry_chart ON audit_entry (lane, chart, seq);
CREATE INDEX audit_entry_actor ON audit_entry (lane, actor, seq);
-- postgres
CREATE INDEX audit_entry_at ON audit_entry (at, lane, seq);
-- both
CREATE TABLE audit_chart (
  lane   INTEGER NOT NULL,
  id     INTEGER NOT NULL,
  tenant TEXT NOT NULL,
  chart  TEXT NOT NULL,
  PRIMARY KEY (lane, id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX audit_chart_name ON audit_chart (lane, tenant, chart);
CREATE TABLE audit_actor (
  lane         INTEGER NOT NULL,
  id           INTEGER NOT NULL,
  actor        TEXT NOT NULL,
  organisation TEXT NOT NULL,
  role         TEXT NOT NULL,
  name         TEXT NOT NULL,
  PRIMARY KEY (lane, id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX audit_actor_name ON audit_actor (lane, actor, organisation, role, name);
CREATE INDEX audit_actor_organisation ON audit_actor (lane, organisation);
CREATE TABLE audit_act (
  lane    INTEGER NOT NULL,
  id      INTEGER NOT NULL,
  action  TEXT NOT NULL,
  purpose TEXT NOT NULL,
  basis   TEXT NOT NULL,
  outcome TEXT NOT NULL,
  PRIMARY KEY (lane, id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX audit_act_name ON audit_act (lane, action, purpose, basis, outcome);
-- One row per sealed batch: rows first_seq to last_seq of the lane are leaf number leaf of the log.
CREATE TABLE audit_seal (
  lane      INTEGER NOT NULL,
  batch     INTEGER NOT NULL, -- 1, 2, 3 … without gaps
  first_seq INTEGER NOT NULL,
  last_seq  INTEGER NOT NULL,
  root      BLOB NOT NULL,    -- Merkle root over the salted hashes of the rows
  leaf      INTEGER NOT NULL, -- index in the log
  PRIMARY KEY (lane, batch)
) WITHOUT ROWID;
-- Checkpoints that were published, one a day at most and the newest: later ones must be consistent with them.
CREATE TABLE audit_checkpoint (
  lane INTEGER NOT NULL,
  day  INTEGER NOT NULL,      -- days since 1970
  size INTEGER NOT NULL,
  note TEXT NOT NULL,
  PRIMARY KEY (lane, day)
) WITHOUT ROWID;
