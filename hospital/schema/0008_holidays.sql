-- 1: sessions are held on bank holidays as well.
ALTER TABLE hospital_template ADD COLUMN holidays INTEGER NOT NULL DEFAULT 0;
