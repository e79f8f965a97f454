-- What carries a label of its own is little; a total counts the index and takes away what of this may not be seen.
CREATE INDEX record_resource_labelled ON record_resource (kind, lane, rid) WHERE label <> 0;
