-- Somebody who signs in with a provider elsewhere: how well it was checked who they are, and whose chart a patient's user may see.
ALTER TABLE access_session ADD COLUMN proofing TEXT NOT NULL DEFAULT '';
CREATE INDEX access_user_person ON access_user (person) WHERE person <> '';
