-- reader: 6
-- What a search compares of people stands with the day on which they were born: those of one day stand together on a few pages, where each was a
-- look-up of its own. demographics_person says under which day a person stands: -2147483648 for whoever is not found by one.
CREATE TABLE demographics_day (
  lane INTEGER NOT NULL,
  born INTEGER NOT NULL,
  person TEXT NOT NULL,
  hidden INTEGER NOT NULL,
  label INTEGER NOT NULL,
  features BLOB NOT NULL,
  PRIMARY KEY (lane, born, person)
) WITHOUT ROWID;
CREATE TABLE demographics_where (
  lane INTEGER NOT NULL,
  person TEXT NOT NULL,
  born INTEGER NOT NULL,
  PRIMARY KEY (lane, person)
) WITHOUT ROWID;
INSERT INTO demographics_day (lane, born, person, hidden, label, features)
  SELECT b.lane, b.born, b.person, p.hidden, p.label, p.features
  FROM demographics_born b CROSS JOIN demographics_person p WHERE p.lane = b.lane AND p.person = b.person ORDER BY b.lane, b.born, b.person;
INSERT INTO demographics_where (lane, person, born)
  SELECT lane, person, born FROM demographics_day; -- not sorted first: ten million people are more than a connection may hold
INSERT INTO demographics_day (lane, born, person, hidden, label, features)
  SELECT p.lane, -2147483648, p.person, p.hidden, p.label, p.features
  FROM demographics_person p WHERE NOT EXISTS (SELECT 1 FROM demographics_where w WHERE w.lane = p.lane AND w.person = p.person);
INSERT INTO demographics_where (lane, person, born)
  SELECT lane, person, born FROM demographics_day WHERE born = -2147483648;
DROP TABLE demographics_born;
DROP TABLE demographics_person;
ALTER TABLE demographics_day RENAME TO demographics_born;
ALTER TABLE demographics_where RENAME TO demographics_person;

-- postgres
CREATE INDEX demographics_born_everywhere ON demographics_born (born, lane, person);
-- both
