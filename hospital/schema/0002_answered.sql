-- When the spine answered an act, by its own clock (that of hospital_case.sent); 0 while it has not, -1 once it has told of the referral as the act made it.
ALTER TABLE hospital_act ADD COLUMN answered INTEGER NOT NULL DEFAULT 0;
