-- Since when a wait is counted that began anew here: a first appointment was missed, its wait nullified, and another time given. 0 where it is that of the referral.
ALTER TABLE hospital_pathway ADD COLUMN began INTEGER NOT NULL DEFAULT 0;
