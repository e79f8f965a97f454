-- Why a file cannot be read that was brought from elsewhere without its bytes; empty for one that can.
ALTER TABLE referral_file ADD COLUMN status TEXT NOT NULL DEFAULT '';
