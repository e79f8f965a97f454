-- When and how somebody's names sound stand in tables of their own, in the place of two indexes of demographics_name: a load of very many
-- people then writes each table in its order. All of it is written anew at the start (the keeper's edition).
DROP TABLE demographics_name;
CREATE TABLE demographics_name (
  lane INTEGER NOT NULL,
  family TEXT NOT NULL,
  born INTEGER NOT NULL,
  person TEXT NOT NULL,
  PRIMARY KEY (lane, family, born, person)
) WITHOUT ROWID;

-- Who was born on a day, of those who have a name.
CREATE TABLE demographics_born (
  lane INTEGER NOT NULL,
  born INTEGER NOT NULL,
  person TEXT NOT NULL,
  PRIMARY KEY (lane, born, person)
) WITHOUT ROWID;

-- The Soundex codes of the family names that a person has or had.
CREATE TABLE demographics_sound (
  lane INTEGER NOT NULL,
  sound TEXT NOT NULL,
  born INTEGER NOT NULL,
  person TEXT NOT NULL,
  PRIMARY KEY (lane, sound, born, person)
) WITHOUT ROWID;

-- postgres
CREATE INDEX demographics_name_everywhere ON demographics_name (family, born, lane, person);
CREATE INDEX demographics_born_everywhere ON demographics_born (born, lane, person);
CREATE INDEX demographics_sound_everywhere ON demographics_sound (sound, born, lane, person);
-- both
