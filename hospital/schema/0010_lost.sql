-- When the appointment was that somebody had last, and has no more: cancelled, withdrawn or missed. 0 for none. Letters name it.
ALTER TABLE hospital_pathway ADD COLUMN lost INTEGER NOT NULL DEFAULT 0;
