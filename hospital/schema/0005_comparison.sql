-- The last message of the last comparison that the hospital asked for: while it is under way no other is asked for by the clock.
ALTER TABLE hospital_standing ADD COLUMN message TEXT NOT NULL DEFAULT '';
