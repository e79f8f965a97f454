-- Records that were made only because the hospital was asked about somebody: having registered them opens such a record no longer than the last question about them is open. A referral takes its row away.
CREATE TABLE hospital_asked (
  lane   INTEGER NOT NULL,
  tenant TEXT NOT NULL,
  chart  TEXT NOT NULL,
  PRIMARY KEY (lane, tenant, chart)
) WITHOUT ROWID;
