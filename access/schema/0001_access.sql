-- Who has a reason to open whose chart. A chart of '*' stands for everybody in the tenant.
CREATE TABLE access_relation (
  lane     INTEGER NOT NULL,
  tenant   TEXT NOT NULL,
  chart    TEXT NOT NULL,
  subject  TEXT NOT NULL,      -- 'user:' and a user id, or 'org:' and an ODS code
  kind     TEXT NOT NULL,      -- care-team, registered, referral, self-claimed, break-glass …
  strength INTEGER NOT NULL,   -- 1 an organisation's or self-claimed, 2 the user's own, 3 broken glass
  since    INTEGER NOT NULL,   -- µs since 1970
  until    INTEGER NOT NULL,   -- µs since 1970; 2^60 for no end
  basis    TEXT NOT NULL,      -- why, in words or as a reference
  given_by TEXT NOT NULL,      -- the user or service that said so
  PRIMARY KEY (lane, tenant, chart, subject, kind)
) WITHOUT ROWID;
CREATE INDEX access_relation_subject ON access_relation (lane, subject, until);
-- People who are hidden as a whole, whatever each resource's own label says.
CREATE TABLE access_restriction (
  lane     INTEGER NOT NULL,
  tenant   TEXT NOT NULL,
  chart    TEXT NOT NULL,
  label    INTEGER NOT NULL,   -- bits of Label
  since    INTEGER NOT NULL,
  reason   TEXT NOT NULL,
  given_by TEXT NOT NULL,
  PRIMARY KEY (lane, tenant, chart)
) WITHOUT ROWID;
-- What a privacy officer reviews.
CREATE TABLE access_alert (
  lane         INTEGER NOT NULL,
  id           INTEGER NOT NULL,
  at           INTEGER NOT NULL,
  tenant       TEXT NOT NULL,
  chart        TEXT NOT NULL,
  kind         TEXT NOT NULL,  -- break-glass, self-claimed
  actor        TEXT NOT NULL,
  actor_name   TEXT NOT NULL,
  role         TEXT NOT NULL,
  organisation TEXT NOT NULL,
  reason       TEXT NOT NULL,
  until        INTEGER NOT NULL,
  reviewed_at  INTEGER NOT NULL, -- 0 while it waits
  reviewed_by  TEXT NOT NULL,
  outcome      TEXT NOT NULL,    -- justified, or needs-action, with the note
  note         TEXT NOT NULL,
  PRIMARY KEY (lane, id)
) WITHOUT ROWID;
CREATE INDEX access_alert_at ON access_alert (at, lane, id);
