-- What a grant came of, and ends with: the sessions in which it was given, unless it is to last beyond them (offline_access), and the grant for whose token it
-- was exchanged. '' for none.
ALTER TABLE oauth_grant ADD COLUMN session TEXT NOT NULL DEFAULT '';
ALTER TABLE oauth_grant ADD COLUMN parent TEXT NOT NULL DEFAULT '';
CREATE INDEX oauth_grant_session ON oauth_grant (session, ended);
CREATE INDEX oauth_grant_parent ON oauth_grant (parent, ended);
