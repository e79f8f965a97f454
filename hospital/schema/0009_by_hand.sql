-- What came of somebody who was put in by hand, as it was written down before the clash was settled: a comeByHand as JSON; '' while nothing is.
ALTER TABLE hospital_override ADD COLUMN come TEXT NOT NULL DEFAULT '';
