-- Who wants to be told of what, and where. of is 1 for the published notification service, whose criteria name a type of event, and 2 for a FHIR
-- Subscription, whose criteria are a search; kind is that type of event or of resource. principal is who subscribed, as they were let in (JSON).
CREATE TABLE events_subscription (
  lane INTEGER NOT NULL,
  id TEXT NOT NULL,
  of INTEGER NOT NULL,
  owner TEXT NOT NULL,
  organisation TEXT NOT NULL,
  principal TEXT NOT NULL,
  tenant TEXT NOT NULL,
  kind TEXT NOT NULL,
  criteria TEXT NOT NULL,
  endpoint TEXT NOT NULL,
  payload TEXT NOT NULL,
  headers TEXT NOT NULL,
  reason TEXT NOT NULL,
  ends TEXT NOT NULL,
  status TEXT NOT NULL,
  note TEXT NOT NULL,
  made INTEGER NOT NULL,
  changed INTEGER NOT NULL,
  failing INTEGER NOT NULL,
  failures INTEGER NOT NULL,
  reached INTEGER NOT NULL,
  PRIMARY KEY (lane, id)
) WITHOUT ROWID;
CREATE INDEX events_subscription_kind ON events_subscription (lane, of, kind);
CREATE INDEX events_subscription_owner ON events_subscription (lane, of, owner, made, id);

-- Each event that was published or told of, once: source and id name it.
CREATE TABLE events_event (
  lane INTEGER NOT NULL,
  source TEXT NOT NULL,
  id TEXT NOT NULL,
  kind TEXT NOT NULL,
  at INTEGER NOT NULL,
  publisher TEXT NOT NULL,
  PRIMARY KEY (lane, source, id)
) WITHOUT ROWID;
CREATE INDEX events_event_at ON events_event (lane, at);

-- What was sent to a subscriber: the message says what became of it. event is the event's id, or the version of a resource.
CREATE TABLE events_delivery (
  lane INTEGER NOT NULL,
  subscription TEXT NOT NULL,
  at INTEGER NOT NULL,
  message TEXT NOT NULL,
  kind TEXT NOT NULL,
  event TEXT NOT NULL,
  PRIMARY KEY (lane, subscription, at, message)
) WITHOUT ROWID;
CREATE INDEX events_delivery_at ON events_delivery (lane, at);
