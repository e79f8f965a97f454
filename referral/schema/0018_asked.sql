-- In which life of the spine (its least version) a hospital was asked anew because it was told again of a referral in vain: once.
ALTER TABLE referral_retold ADD COLUMN asked INTEGER NOT NULL DEFAULT 0;
