-- How well it was checked who somebody is, when they signed in with a provider elsewhere that says so: IAL1 to IAL3.
ALTER TABLE oauth_grant ADD COLUMN proofing TEXT NOT NULL DEFAULT '';
