-- The limit of each wait: when its last day begins, and since when the wait is flagged; 0 when none runs, or as it will be kept; -1 until it was reckoned.
ALTER TABLE referral_case ADD COLUMN limit_day INTEGER NOT NULL DEFAULT -1;
ALTER TABLE referral_case ADD COLUMN flagged INTEGER NOT NULL DEFAULT -1;
CREATE INDEX referral_case_flagged ON referral_case (flagged, limit_day);
