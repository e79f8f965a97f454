-- What administrators did to users, clients and keys, and why: beside the account, which is for auditors, this is for those who go on with the work.
CREATE TABLE access_change (
  lane         INTEGER NOT NULL,   -- of the subject
  subject      TEXT NOT NULL,      -- 'user/' or 'client/' and an id, or 'keys'
  at           INTEGER NOT NULL,   -- µs since 1970
  n            INTEGER NOT NULL,   -- tells apart what one commit did
  actor        TEXT NOT NULL,
  actor_name   TEXT NOT NULL,
  role         TEXT NOT NULL,
  organisation TEXT NOT NULL,
  act          TEXT NOT NULL,      -- added, changed, moved, suspended …
  detail       TEXT NOT NULL,
  reason       TEXT NOT NULL,
  PRIMARY KEY (lane, subject, at, n)
) WITHOUT ROWID;
-- A suspended user has ended (nothing of theirs opens anything) and may be restored with one act.
ALTER TABLE access_user ADD COLUMN suspended INTEGER NOT NULL DEFAULT 0;
ALTER TABLE access_user ADD COLUMN last_in INTEGER NOT NULL DEFAULT 0;      -- µs since 1970: their last sign-in; 0 for never
CREATE INDEX access_user_organisation ON access_user (organisation, name);
CREATE INDEX access_user_role ON access_user (role);
CREATE INDEX access_user_last_in ON access_user (last_in);
ALTER TABLE access_profile ADD COLUMN review INTEGER NOT NULL DEFAULT 0;    -- µs since 1970; 0 when none is due
CREATE INDEX access_profile_organisation ON access_profile (organisation);
CREATE INDEX access_profile_role ON access_profile (role);
CREATE INDEX access_profile_review ON access_profile (review);
CREATE INDEX access_profile_until ON access_profile (until);
