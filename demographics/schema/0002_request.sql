-- What was done under a request's own id, so that the same request gets the same answer: digest is a hash of who sent what where.
CREATE TABLE demographics_request (
  lane INTEGER NOT NULL,
  request TEXT NOT NULL,
  digest TEXT NOT NULL,
  person TEXT NOT NULL,
  ver INTEGER NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (lane, request, digest)
) WITHOUT ROWID;
CREATE INDEX demographics_request_at ON demographics_request (lane, at);
