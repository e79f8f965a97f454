-- The last message of the last question to a hospital: while it is under way it is not asked again by the clock.
ALTER TABLE referral_standing ADD COLUMN message TEXT NOT NULL DEFAULT '';
-- By which message a hospital was told again of what it knew otherwise: while that is under way it is not told once more.
CREATE TABLE referral_retold (
	lane     INTEGER NOT NULL,
	provider TEXT NOT NULL,
	ubrn     TEXT NOT NULL,
	message  TEXT NOT NULL,
	PRIMARY KEY (lane, provider, ubrn)
) WITHOUT ROWID;
