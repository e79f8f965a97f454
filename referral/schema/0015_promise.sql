-- Since when the slot that somebody is offered is the spine's, as the offer names it: after a restore an offer may be known before its slot.
ALTER TABLE referral_wait ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;
CREATE INDEX referral_wait_slot ON referral_wait (slot_lane, provider, session, slot) WHERE offered > 0;
