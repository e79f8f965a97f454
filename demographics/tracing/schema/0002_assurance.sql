-- How sure it was who sent the file (AAL2, AAL3): the register asks.
ALTER TABLE tracing_job ADD COLUMN assurance TEXT NOT NULL DEFAULT '';
