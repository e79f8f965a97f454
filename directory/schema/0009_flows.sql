-- Which kinds of request a service takes, as a sum of directory.Flows; known once the row is written anew.
ALTER TABLE directory_service ADD COLUMN flows INTEGER NOT NULL DEFAULT 0;
