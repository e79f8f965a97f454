-- Of a FHIR Subscription: the status and error that its resource says, as it was last written.
ALTER TABLE events_subscription ADD COLUMN shown TEXT NOT NULL DEFAULT '';
