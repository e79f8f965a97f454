-- The nearest organisations are read district by district, each in the order of names.
CREATE INDEX directory_organisation_outward ON directory_organisation (outward, folded, code);
