-- The certificates under which the programme's authority signs, one row for each that there ever was. Only where the authority is.
CREATE TABLE network_root (
  lane        INTEGER NOT NULL,
  fingerprint TEXT NOT NULL,     -- SHA-256 of the certificate, in hexadecimal
  state       TEXT NOT NULL,     -- next (trusted, not signing yet), issuing, old (trusted, no longer signing), retired
  since       INTEGER NOT NULL,  -- µs since 1970, of the state
  cert        BLOB NOT NULL,
  crossed     BLOB NOT NULL,     -- the same key, certified by the root before it; empty for the first
  PRIMARY KEY (lane, fingerprint)
) WITHOUT ROWID;
-- Tokens with which a node joins: each is good once.
CREATE TABLE network_token (
  lane          INTEGER NOT NULL,
  hash          TEXT NOT NULL,     -- SHA-256 of the secret, in hexadecimal
  node          TEXT NOT NULL,
  organisations TEXT NOT NULL,     -- those that the node may speak for, its own first, with spaces between
  made          INTEGER NOT NULL,
  until         INTEGER NOT NULL,
  made_by       TEXT NOT NULL,
  used          INTEGER NOT NULL,  -- 0 while it is not
  asked         TEXT NOT NULL,     -- SHA-256 of the public key that it was used for
  serial        TEXT NOT NULL,     -- of the certificate that it was used for
  PRIMARY KEY (lane, hash)
) WITHOUT ROWID;
-- Nodes that have joined.
CREATE TABLE network_node (
  lane          INTEGER NOT NULL,
  node          TEXT NOT NULL,
  organisations TEXT NOT NULL,
  joined        INTEGER NOT NULL,
  revoked       INTEGER NOT NULL,  -- 0 while it is a member
  reason        TEXT NOT NULL,     -- why it was revoked
  trusts        TEXT NOT NULL,     -- fingerprints of the roots that it said it trusts, with spaces between
  serial        TEXT NOT NULL,     -- of the certificate that it has
  PRIMARY KEY (lane, node)
) WITHOUT ROWID;
-- Every certificate that was given out.
CREATE TABLE network_certificate (
  lane    INTEGER NOT NULL,
  serial  TEXT NOT NULL,
  node    TEXT NOT NULL,
  asked   TEXT NOT NULL,           -- SHA-256 of the public key
  root    TEXT NOT NULL,
  since   INTEGER NOT NULL,
  until   INTEGER NOT NULL,
  revoked INTEGER NOT NULL,        -- 0 while it holds
  der     BLOB NOT NULL,
  PRIMARY KEY (lane, serial)
) WITHOUT ROWID;
CREATE INDEX network_certificate_node ON network_certificate (lane, node, asked);
CREATE INDEX network_certificate_until ON network_certificate (lane, until);
-- What every node has to know: which certificates hold no longer. One row.
CREATE TABLE network_news (
  lane    INTEGER NOT NULL,
  edition INTEGER NOT NULL,
  revoked BLOB NOT NULL,           -- a signed list (RFC 5280 section 5)
  PRIMARY KEY (lane)
) WITHOUT ROWID;
-- Links that somebody has cut on purpose.
CREATE TABLE network_cut (
  lane    INTEGER NOT NULL,
  peer    TEXT NOT NULL,
  at      INTEGER NOT NULL,
  by_name TEXT NOT NULL,
  reason  TEXT NOT NULL,
  PRIMARY KEY (lane, peer)
) WITHOUT ROWID;
-- How each link did, in spans of a minute, an hour or a day.
CREATE TABLE network_history (
  lane     INTEGER NOT NULL,
  peer     TEXT NOT NULL,
  span     INTEGER NOT NULL,       -- seconds
  at       INTEGER NOT NULL,       -- µs since 1970, of its beginning
  up       INTEGER NOT NULL,       -- µs of it during which the link stood
  watched  INTEGER NOT NULL,       -- µs of it during which this node ran
  beats    INTEGER NOT NULL,
  latency  INTEGER NOT NULL,       -- µs, the sum over the beats
  slowest  INTEGER NOT NULL,       -- µs
  skew     INTEGER NOT NULL,       -- µs that the peer's clock was ahead, as last measured
  sent     INTEGER NOT NULL,       -- bytes
  received INTEGER NOT NULL,
  requests INTEGER NOT NULL,
  failures INTEGER NOT NULL,
  backlog  INTEGER NOT NULL,       -- messages, the most seen
  oldest   INTEGER NOT NULL,       -- µs, the oldest age seen
  PRIMARY KEY (lane, peer, span, at)
) WITHOUT ROWID;
-- What happened to each link last: when it came and went, and why.
CREATE TABLE network_event (
  lane INTEGER NOT NULL,
  peer TEXT NOT NULL,
  at   INTEGER NOT NULL,
  what TEXT NOT NULL,              -- up, down, refused, cut, healed
  note TEXT NOT NULL,
  PRIMARY KEY (lane, peer, at)
) WITHOUT ROWID;
