-- A service by its id alone, whatever its lane: what a shortlist names.
CREATE INDEX directory_service_id ON directory_service (id);
