-- What of the person's an event is about, when it is not about who they are, and what it may be filtered by (JSON); empty otherwise.
ALTER TABLE demographics_event ADD COLUMN about TEXT NOT NULL DEFAULT '';
