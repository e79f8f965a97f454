-- What ends a token before its time. A row of access_revoked names a token (its jti) or the session that it was minted from
-- (its sid), for as long as such a token could still live.
ALTER TABLE access_revoked ADD COLUMN at INTEGER NOT NULL DEFAULT 0;        -- µs since 1970: when it was revoked
CREATE INDEX access_revoked_at ON access_revoked (at);
-- How often what a user may do was changed or ended. A token says in which edition of the user's rights it was minted.
ALTER TABLE access_user ADD COLUMN edition INTEGER NOT NULL DEFAULT 0;
ALTER TABLE access_user ADD COLUMN changed INTEGER NOT NULL DEFAULT 0;      -- µs since 1970; 0 for never
CREATE INDEX access_user_changed ON access_user (changed);
