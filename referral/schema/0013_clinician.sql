-- Who will see the patient in a slot, as a user id; empty where it is not known.
ALTER TABLE referral_slot ADD COLUMN clinician_id TEXT NOT NULL DEFAULT '';
