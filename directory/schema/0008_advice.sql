-- Whether a service gives advice to those who might refer; known once the row is written anew.
ALTER TABLE directory_service ADD COLUMN advice INTEGER NOT NULL DEFAULT 0;
