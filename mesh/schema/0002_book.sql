-- Whether a mailbox elsewhere was learnt from the national node's book, which changes it, or was entered by a person, whose word counts.
ALTER TABLE mesh_mailbox ADD COLUMN learnt INTEGER NOT NULL DEFAULT 0;
