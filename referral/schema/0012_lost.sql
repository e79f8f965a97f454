-- A booking whose slot has become somebody's anew since, as a spine learns that was restored from a backup: whoever is still booked there is to be told.
ALTER TABLE referral_booking ADD COLUMN lost INTEGER NOT NULL DEFAULT 0;
CREATE INDEX referral_booking_lost ON referral_booking (lost) WHERE lost = 1;
