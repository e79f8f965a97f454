-- Whom a provider's account stands for here.
CREATE TABLE provider_link (
  lane    INTEGER NOT NULL,   -- of issuer and subject
  issuer  TEXT NOT NULL,
  subject TEXT NOT NULL,      -- the provider's name for them (sub)
  user_id TEXT NOT NULL,
  how     TEXT NOT NULL,      -- identifier, nhs-number, one-time link, signed in
  since   INTEGER NOT NULL,   -- µs since 1970
  PRIMARY KEY (lane, issuer, subject)
) WITHOUT ROWID;
CREATE INDEX provider_link_user ON provider_link (user_id, issuer);
-- Whom an administrator expects: whoever the provider says has this identifier is this user, from their first sign-in.
CREATE TABLE provider_expected (
  lane       INTEGER NOT NULL,  -- of issuer and identifier
  issuer     TEXT NOT NULL,
  identifier TEXT NOT NULL,
  user_id    TEXT NOT NULL,
  since      INTEGER NOT NULL,
  PRIMARY KEY (lane, issuer, identifier)
) WITHOUT ROWID;
CREATE INDEX provider_expected_user ON provider_expected (user_id, issuer);
-- Which sessions here came of a sign-in there, so that they end when the provider says so.
CREATE TABLE provider_session (
  lane    INTEGER NOT NULL,   -- of the session
  session TEXT NOT NULL,      -- as access names it, not its secret
  user_id TEXT NOT NULL,
  issuer  TEXT NOT NULL,
  subject TEXT NOT NULL,
  sid     TEXT NOT NULL,      -- the provider's session; '' when it does not say
  since   INTEGER NOT NULL,
  PRIMARY KEY (lane, session)
) WITHOUT ROWID;
CREATE INDEX provider_session_sid ON provider_session (issuer, sid);
CREATE INDEX provider_session_subject ON provider_session (issuer, subject);
CREATE INDEX provider_session_user ON provider_session (user_id, issuer);
CREATE INDEX provider_session_since ON provider_session (lane, since);
