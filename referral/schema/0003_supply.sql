-- What services have to offer: the first free slot of each, and how many, without looking at a row.
DROP INDEX referral_slot_free;
CREATE INDEX referral_slot_supply ON referral_slot (service, starts, held, epoch) WHERE state = 0 AND recalled = 0;
