-- What a person is found by: one row for each, with what a search compares in compact form (see features.go).
-- born is days since 1970; hidden is 1 for a record that has been invalidated; label is the record's own.
CREATE TABLE demographics_person (
  lane INTEGER NOT NULL,
  person TEXT NOT NULL,
  hidden INTEGER NOT NULL,
  label INTEGER NOT NULL,
  features BLOB NOT NULL,
  PRIMARY KEY (lane, person)
) WITHOUT ROWID;

-- Each family name that a person has or had, folded and at most 24 bytes; sound is its Soundex code.
CREATE TABLE demographics_name (
  lane INTEGER NOT NULL,
  family TEXT NOT NULL,
  born INTEGER NOT NULL,
  person TEXT NOT NULL,
  sound TEXT NOT NULL,
  PRIMARY KEY (lane, family, born, person)
) WITHOUT ROWID;
CREATE INDEX demographics_name_born ON demographics_name (lane, born);
CREATE INDEX demographics_name_sound ON demographics_name (lane, sound, born);

-- Postcodes, telephone numbers and addresses of electronic mail that a person has or had, as hashes; hits are verified.
CREATE TABLE demographics_key (
  lane INTEGER NOT NULL,
  hash INTEGER NOT NULL,
  person TEXT NOT NULL,
  PRIMARY KEY (lane, hash, person)
) WITHOUT ROWID;

-- postgres
CREATE INDEX demographics_name_everywhere ON demographics_name (family, born, lane, person);
CREATE INDEX demographics_name_born_everywhere ON demographics_name (born, lane, person);
CREATE INDEX demographics_name_sound_everywhere ON demographics_name (sound, born, lane, person);
CREATE INDEX demographics_key_everywhere ON demographics_key (hash, lane, person);
-- both
