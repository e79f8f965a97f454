-- Who wrote what speaks of a person and is in nobody's chart: the id of a principal, '?' for what was there before anybody asked, and ''
-- for what is in a chart or about nobody. Once there it stays, for the versions of that time.
ALTER TABLE record_resource ADD COLUMN author TEXT NOT NULL DEFAULT '?';
CREATE INDEX record_resource_unfiled ON record_resource (kind, lane, rid) WHERE chart = '' AND author <> '';
