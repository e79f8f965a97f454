-- Charts that are one person: for each chart, each other. A relationship with one is kept for the others too, marked with where
-- it came from, so that looking asks about one chart only and parting them takes back exactly what joining gave.
CREATE TABLE access_kin (
  lane       INTEGER NOT NULL,
  tenant     TEXT NOT NULL,
  chart      TEXT NOT NULL,
  other      TEXT NOT NULL,
  other_lane INTEGER NOT NULL,
  PRIMARY KEY (lane, tenant, chart, other)
) WITHOUT ROWID;
