-- Referrals that came without a time, for the figures by month: few of the events are that.
CREATE INDEX hospital_event_unplaced ON hospital_event (tenant, at, who) WHERE what = 'told' AND detail = 'DEFERRED_TO_PROVIDER';
