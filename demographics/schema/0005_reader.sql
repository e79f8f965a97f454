-- How far each reader of the events has come in a lane.
CREATE TABLE demographics_reader (
  lane INTEGER NOT NULL,
  reader TEXT NOT NULL,
  seq INTEGER NOT NULL,
  PRIMARY KEY (lane, reader)
) WITHOUT ROWID;
