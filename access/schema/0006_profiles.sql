-- The further roles of a user who has several; the first is in access_user itself.
CREATE TABLE access_profile (
  lane         INTEGER NOT NULL,   -- of the user
  user_id      TEXT NOT NULL,
  id           TEXT NOT NULL,      -- the role profile id, twelve digits (NHSD-Session-URID)
  role         TEXT NOT NULL,
  organisation TEXT NOT NULL,
  tenants      TEXT NOT NULL,      -- further tenants, space between
  job          TEXT NOT NULL,      -- the national RBAC job role code, for example R8000
  since        INTEGER NOT NULL,   -- µs since 1970
  until        INTEGER NOT NULL,   -- µs since 1970; 2^60 for no end
  PRIMARY KEY (lane, user_id, id)
) WITHOUT ROWID;
-- What administrators keep of a user: who they are, when they came and go, and when their access is to be looked at again.
ALTER TABLE access_user ADD COLUMN job TEXT NOT NULL DEFAULT '';         -- the national RBAC job role code of the first role
ALTER TABLE access_user ADD COLUMN proofed TEXT NOT NULL DEFAULT '';     -- P5 or P9: how well a patient's identity was proofed
ALTER TABLE access_user ADD COLUMN joined INTEGER NOT NULL DEFAULT 0;    -- µs since 1970; 0 when not known
ALTER TABLE access_user ADD COLUMN leaves INTEGER NOT NULL DEFAULT 0;    -- µs since 1970; 0 when not known
ALTER TABLE access_user ADD COLUMN review INTEGER NOT NULL DEFAULT 0;    -- µs since 1970; 0 when none is due
CREATE INDEX access_user_review ON access_user (review);
CREATE INDEX access_user_leaves ON access_user (leaves);
CREATE INDEX access_user_name ON access_user (name);
-- In which role somebody is signed in, how surely, and with what.
ALTER TABLE access_session ADD COLUMN profile TEXT NOT NULL DEFAULT '';
ALTER TABLE access_session ADD COLUMN assurance TEXT NOT NULL DEFAULT '';
ALTER TABLE access_session ADD COLUMN device TEXT NOT NULL DEFAULT '';
CREATE INDEX access_session_user ON access_session (user_id);
