-- What is to be given back because it begins soon, and what was asked back: each without a look at what is booked or over, of which there is more every day.
DROP INDEX referral_slot_due;
CREATE INDEX referral_slot_close ON referral_slot (starts) WHERE state = 0 AND recalled = 0 AND epoch % 2 = 1;
CREATE INDEX referral_slot_recalled ON referral_slot (recalled, state) WHERE recalled > 0;
