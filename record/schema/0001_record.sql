-- Every version of every resource, in the order of commits within its lane: the history is the feed.
-- entry: the act on the account. op: 1 created, 2 changed, 3 voided, 4 moved away to another lane. prev is the seq of the version before, 0 for none.
CREATE TABLE record_version (
  lane INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  rid INTEGER NOT NULL,
  prev INTEGER NOT NULL,
  ver INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  at INTEGER NOT NULL,
  actor INTEGER NOT NULL,
  entry INTEGER NOT NULL,
  op INTEGER NOT NULL,
  dict INTEGER NOT NULL,
  body BLOB,
  reason TEXT,
  PRIMARY KEY (lane, seq)
) WITHOUT ROWID;
CREATE INDEX record_version_kind ON record_version (kind, at);

-- What each resource now is. rid is the seq of its first version in this lane; kind is a tenant's resource type
-- (see record_word); chart is the patient's id, or '' for what concerns no person; edition is that of its index rows.
CREATE TABLE record_resource (
  lane INTEGER NOT NULL,
  rid INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  chart TEXT NOT NULL,
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  seq INTEGER NOT NULL,
  ver INTEGER NOT NULL,
  at INTEGER NOT NULL,
  op INTEGER NOT NULL,
  label INTEGER NOT NULL,
  edition INTEGER NOT NULL,
  PRIMARY KEY (lane, rid)
) WITHOUT ROWID;
CREATE UNIQUE INDEX record_resource_id ON record_resource (lane, kind, id);
CREATE INDEX record_resource_chart ON record_resource (lane, chart, kind) WHERE chart <> '';
CREATE INDEX record_resource_kind ON record_resource (kind, at);

-- Where a resource lives whose chart lies in another lane than its id does.
CREATE TABLE record_alias (
  lane INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  id TEXT NOT NULL,
  home INTEGER NOT NULL,
  rid INTEGER NOT NULL,
  PRIMARY KEY (lane, kind, id)
) WITHOUT ROWID;

-- A resource that changed charts: its versions before ver belong to chart, and when came_lane is another lane
-- the version before this one is came_seq there.
CREATE TABLE record_move (
  lane INTEGER NOT NULL,
  rid INTEGER NOT NULL,
  ver INTEGER NOT NULL,
  chart TEXT NOT NULL,
  came_lane INTEGER NOT NULL,
  came_seq INTEGER NOT NULL,
  PRIMARY KEY (lane, rid, ver)
) WITHOUT ROWID;

-- A resource that went to another lane: what its versions here belonged to.
CREATE TABLE record_left (
  lane INTEGER NOT NULL,
  rid INTEGER NOT NULL,
  id TEXT NOT NULL,
  chart TEXT NOT NULL,
  PRIMARY KEY (lane, rid)
) WITHOUT ROWID;

-- Two charts that are one person: survivor speaks for chart until the link is ended. Ended links stay.
CREATE TABLE chart_link (
  lane INTEGER NOT NULL,
  tenant TEXT NOT NULL,
  chart TEXT NOT NULL,
  seq INTEGER NOT NULL,
  survivor TEXT NOT NULL,
  since INTEGER NOT NULL,
  until INTEGER NOT NULL,
  reason TEXT NOT NULL,
  actor INTEGER NOT NULL,
  ended_reason TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (lane, tenant, chart, seq)
) WITHOUT ROWID;

-- Words that stand as small numbers elsewhere. space: 1 kinds (tenant/type), 2 index parameters, 3 settings.
CREATE TABLE record_word (
  lane INTEGER NOT NULL,
  space INTEGER NOT NULL,
  num INTEGER NOT NULL,
  word TEXT NOT NULL,
  PRIMARY KEY (lane, space, num)
) WITHOUT ROWID;
CREATE UNIQUE INDEX record_word_word ON record_word (lane, space, word);

-- Who wrote versions in this lane; num is a hash of the word (id and name).
CREATE TABLE record_actor (
  lane INTEGER NOT NULL,
  num INTEGER NOT NULL,
  word TEXT NOT NULL,
  PRIMARY KEY (lane, num)
) WITHOUT ROWID;

-- How many resources of a kind there are in a lane.
CREATE TABLE record_count (
  lane INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  live INTEGER NOT NULL,
  PRIMARY KEY (lane, kind)
) WITHOUT ROWID;

-- The search index. param numbers a (tenant, type, parameter, edition) in record_word.
-- hash: tokens, references, URIs and composites; 63 bits, verified on the body.
CREATE TABLE idx_hash (
  lane INTEGER NOT NULL,
  param INTEGER NOT NULL,
  hash INTEGER NOT NULL,
  rid INTEGER NOT NULL,
  PRIMARY KEY (lane, param, hash, rid)
) WITHOUT ROWID;

-- folded: lower case without accents, at most 20 bytes.
CREATE TABLE idx_string (
  lane INTEGER NOT NULL,
  param INTEGER NOT NULL,
  folded TEXT NOT NULL,
  rid INTEGER NOT NULL,
  PRIMARY KEY (lane, param, folded, rid)
) WITHOUT ROWID;

-- span classes the length (0 a second … 4 longer than a year), so that overlap is a range scan; lo and hi in µs.
CREATE TABLE idx_date (
  lane INTEGER NOT NULL,
  param INTEGER NOT NULL,
  span INTEGER NOT NULL,
  lo INTEGER NOT NULL,
  rid INTEGER NOT NULL,
  hi INTEGER NOT NULL,
  PRIMARY KEY (lane, param, span, lo, rid, hi)
) WITHOUT ROWID;

-- Numbers and quantities; unit is a hash, 0 for none.
CREATE TABLE idx_number (
  lane INTEGER NOT NULL,
  param INTEGER NOT NULL,
  lo REAL NOT NULL,
  hi REAL NOT NULL,
  unit INTEGER NOT NULL,
  rid INTEGER NOT NULL,
  PRIMARY KEY (lane, param, lo, hi, unit, rid)
) WITHOUT ROWID;

-- postgres
CREATE INDEX record_resource_lookup ON record_resource (kind, id, lane, rid);
CREATE INDEX idx_hash_param ON idx_hash (param, hash, lane, rid);
CREATE INDEX idx_string_param ON idx_string (param, folded, lane, rid);
CREATE INDEX idx_date_param ON idx_date (param, span, lo, lane, rid, hi);
CREATE INDEX idx_number_param ON idx_number (param, lo, hi, unit, lane, rid);
-- both

-- Who watches the changes of a lane, and how far it has come. lease: until when (µs) holder works on it.
CREATE TABLE record_watch (
  lane INTEGER NOT NULL,
  watch TEXT NOT NULL,
  seq INTEGER NOT NULL,
  lease INTEGER NOT NULL,
  holder TEXT NOT NULL,
  PRIMARY KEY (lane, watch)
) WITHOUT ROWID;

-- A change that a watch could not handle, and what followed it in the same chart, in order.
CREATE TABLE record_parked (
  lane INTEGER NOT NULL,
  watch TEXT NOT NULL,
  chart TEXT NOT NULL,
  seq INTEGER NOT NULL,
  tries INTEGER NOT NULL,
  due INTEGER NOT NULL,
  reason TEXT NOT NULL,
  PRIMARY KEY (lane, watch, chart, seq)
) WITHOUT ROWID;

-- Long work on the record that goes on where it stopped.
CREATE TABLE record_job (
  lane INTEGER NOT NULL,
  job TEXT NOT NULL,
  at_lane INTEGER NOT NULL,
  at_rid INTEGER NOT NULL,
  done INTEGER NOT NULL,
  total INTEGER NOT NULL,
  finished INTEGER NOT NULL,
  PRIMARY KEY (lane, job)
) WITHOUT ROWID;
