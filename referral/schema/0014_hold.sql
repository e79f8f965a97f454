-- What somebody holds, so that who chooses another time lets go of the one before.
CREATE INDEX referral_slot_held ON referral_slot (holder) WHERE held > 0;
