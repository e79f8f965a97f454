-- The first session of a chain: whoever chooses another role, or shows again who they are, goes on in a session of another name. '' for a session that is
-- the first itself. What programs were given in a session ends when its chain is left, and not before.
ALTER TABLE access_session ADD COLUMN root TEXT NOT NULL DEFAULT '';
