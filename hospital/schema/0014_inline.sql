-- sqlite
-- A referral is longer than the quarter of a page that SQLite keeps of a row in a table WITHOUT ROWID, and took one page more. With a rowid it stands on one page, and the indexes do not repeat its key.
CREATE TABLE hospital_case_inline (
  lane     INTEGER NOT NULL,
  tenant   TEXT NOT NULL,
  ubrn     TEXT NOT NULL,
  version  INTEGER NOT NULL,
  state    TEXT NOT NULL,
  gone     INTEGER NOT NULL,
  priority TEXT NOT NULL,
  service  TEXT NOT NULL,
  number   TEXT NOT NULL,
  chart    TEXT NOT NULL,
  session  TEXT NOT NULL,
  slot     TEXT NOT NULL,
  epoch    INTEGER NOT NULL,
  starts   INTEGER NOT NULL,
  clock    INTEGER NOT NULL,
  received INTEGER NOT NULL,
  sent     INTEGER NOT NULL,
  body     BLOB NOT NULL,
  PRIMARY KEY (lane, tenant, ubrn)
);
INSERT INTO hospital_case_inline (lane, tenant, ubrn, version, state, gone, priority, service, number, chart, session, slot, epoch, starts, clock, received, sent, body)
  SELECT lane, tenant, ubrn, version, state, gone, priority, service, number, chart, session, slot, epoch, starts, clock, received, sent, body FROM hospital_case;
DROP TABLE hospital_case;
ALTER TABLE hospital_case_inline RENAME TO hospital_case;
CREATE INDEX hospital_case_slot ON hospital_case (tenant, session, slot);
CREATE INDEX hospital_case_chart ON hospital_case (tenant, chart, ubrn);
CREATE INDEX hospital_case_sent ON hospital_case (tenant, sent);
CREATE INDEX hospital_case_state ON hospital_case (tenant, gone, state, received);
-- both
