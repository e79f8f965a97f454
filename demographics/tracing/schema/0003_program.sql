-- The program that sent the file, as JSON of its principal; '' when a person did, on the page.
ALTER TABLE tracing_job ADD COLUMN program TEXT NOT NULL DEFAULT '';
