-- Which version of the referral a request made, so that it is answered as before when it comes again; 0 in what an earlier edition noted.
ALTER TABLE bars_message ADD COLUMN version INTEGER NOT NULL DEFAULT 0;
