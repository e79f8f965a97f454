-- The lost bookings of one hospital, so that one that has yet to tell what it knows keeps no other waiting.
DROP INDEX referral_booking_lost;
CREATE INDEX referral_booking_lost ON referral_booking (provider, session, slot, epoch) WHERE lost = 1;
