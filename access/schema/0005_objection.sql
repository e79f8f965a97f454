-- What a person asks about a look at their record that they did not expect, and the privacy officer's answer.
CREATE TABLE access_objection (
  lane          INTEGER NOT NULL,
  id            INTEGER NOT NULL,
  at            INTEGER NOT NULL,   -- µs since 1970
  tenant        TEXT NOT NULL,
  chart         TEXT NOT NULL,
  person        TEXT NOT NULL,      -- the user who asks
  entry         TEXT NOT NULL,      -- the entry on the account that is asked about
  looked_at     INTEGER NOT NULL,
  actor         TEXT NOT NULL,      -- who looked
  actor_name    TEXT NOT NULL,
  organisation  TEXT NOT NULL,
  words         TEXT NOT NULL,
  owner         TEXT NOT NULL,      -- the privacy officer who looks into it; '' while nobody does
  owner_name    TEXT NOT NULL,
  answered_at   INTEGER NOT NULL,   -- 0 while it waits
  outcome       TEXT NOT NULL,      -- in-order or not-in-order
  answer        TEXT NOT NULL,
  PRIMARY KEY (lane, id)
) WITHOUT ROWID;
CREATE INDEX access_objection_at ON access_objection (at, lane, id);
CREATE INDEX access_objection_chart ON access_objection (lane, tenant, chart, id);
