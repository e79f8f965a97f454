-- On PostgreSQL a row of the index is looked for by what it says, then by its lane: one index of each table serves every search, and each
-- row costs one entry less.
-- postgres
ALTER TABLE idx_hash DROP CONSTRAINT idx_hash_pkey;
DROP INDEX idx_hash_param;
ALTER TABLE idx_hash ADD PRIMARY KEY (param, hash, lane, rid);
ALTER TABLE idx_string DROP CONSTRAINT idx_string_pkey;
DROP INDEX idx_string_param;
ALTER TABLE idx_string ADD PRIMARY KEY (param, folded, lane, rid);
ALTER TABLE idx_date DROP CONSTRAINT idx_date_pkey;
DROP INDEX idx_date_param;
ALTER TABLE idx_date ADD PRIMARY KEY (param, span, lo, lane, rid, hi);
ALTER TABLE idx_number DROP CONSTRAINT idx_number_pkey;
DROP INDEX idx_number_param;
ALTER TABLE idx_number ADD PRIMARY KEY (param, lo, hi, unit, lane, rid);
DROP INDEX record_resource_lookup;
DROP INDEX record_resource_id;
CREATE UNIQUE INDEX record_resource_id ON record_resource (kind, id, lane) INCLUDE (rid);
-- both
