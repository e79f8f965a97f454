-- Since which epoch a slot is its owner's: what bookings name. A settlement after a restore raises epoch, and leaves this.
ALTER TABLE referral_slot ADD COLUMN base INTEGER NOT NULL DEFAULT 0;
UPDATE referral_slot SET base = epoch;

-- How the spine stands with each hospital, and under its own code in which life of the database it is: numbers of versions made in it are above least.
CREATE TABLE referral_standing (
	lane        INTEGER NOT NULL,
	provider    TEXT NOT NULL,
	incarnation TEXT NOT NULL,
	sure        INTEGER NOT NULL,
	round       TEXT NOT NULL,
	asked       INTEGER NOT NULL,
	least       INTEGER NOT NULL,
	PRIMARY KEY (lane, provider)
) WITHOUT ROWID;

-- Pages of a hospital's tally, until the last one is here.
CREATE TABLE referral_tally (
	lane     INTEGER NOT NULL,
	provider TEXT NOT NULL,
	round    TEXT NOT NULL,
	page     INTEGER NOT NULL,
	body     BLOB NOT NULL,
	PRIMARY KEY (lane, provider, round, page)
) WITHOUT ROWID;
