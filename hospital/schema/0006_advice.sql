-- Questions for advice as the spine last told of them. ended: nothing more is said. chart is empty until the person is a patient here.
CREATE TABLE hospital_advice (
  lane    INTEGER NOT NULL,
  tenant  TEXT NOT NULL,
  ubrn    TEXT NOT NULL,
  version INTEGER NOT NULL,
  state   TEXT NOT NULL,
  ended   INTEGER NOT NULL,
  number  TEXT NOT NULL, -- NHS number
  chart   TEXT NOT NULL,
  changed INTEGER NOT NULL,
  sent    INTEGER NOT NULL,
  body    BLOB NOT NULL,
  PRIMARY KEY (lane, tenant, ubrn)
) WITHOUT ROWID;
CREATE INDEX hospital_advice_open ON hospital_advice (tenant, ended, state, changed);
CREATE INDEX hospital_advice_chart ON hospital_advice (tenant, chart, ended);
CREATE INDEX hospital_advice_sent ON hospital_advice (tenant, sent);
-- What was answered here, and what the spine made of it.
CREATE TABLE hospital_advise (
  lane    INTEGER NOT NULL,
  tenant  TEXT NOT NULL,
  ubrn    TEXT NOT NULL,
  number  INTEGER NOT NULL,
  body    BLOB NOT NULL,
  at      INTEGER NOT NULL,
  message TEXT NOT NULL,
  state   TEXT NOT NULL, -- waiting, confirmed, refused
  answer  TEXT NOT NULL,
  PRIMARY KEY (lane, tenant, ubrn, number)
) WITHOUT ROWID;
