package oauth

import (
	"context"
	"encoding/json"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

// Registered is a client as it is kept, whether or not it may ask for tokens. Errors: fault.NotFound.
func (s *Server) Registered(ctx context.Context, id string) (Client, error) {
	var c Client
	err := s.k.DB.Read(ctx, func(tx *store.Tx) (err error) {
		c, err = s.registeredIn(tx, id)
		return err
	})
	return c, err
}

func (s *Server) registeredIn(tx *store.Tx, id string) (Client, error) {
	list, err := readClients(tx, `lane = ? AND id = ?`, int64(s.clientLane(id)), id)
	if err != nil {
		return Client{}, err
	}
	if len(list) == 0 {
		return Client{}, fault.New(fault.NotFound, "There is no such client.")
	}
	return list[0], nil
}

// PutClient registers a client, or changes one; by is on the account for it, and reason in its history. One that was suspended or
// ended may ask for tokens again. Errors: fault.Invalid as Check; fault.Forbidden, on the account, for who may not.
func (s *Server) PutClient(ctx context.Context, by access.Principal, c Client, reason string) error {
	if err := c.Check(); err != nil {
		return err
	}
	return s.keep(ctx, by, c.ID, reason, func(_ *store.Tx, old *Client) (Client, string, error) {
		if old == nil {
			return c, "registered", nil
		}
		if !old.Ended.IsZero() {
			return c, "restored", nil
		}
		if c.Kind == Confidential && len(c.SecretHash) == 0 && c.Keys == nil && c.KeysURL == "" {
			c.SecretHash = old.SecretHash
		}
		return c, "changed", nil
	})
}

// RotateSecret gives a confidential client another secret, shown once; the one before opens nothing any more.
func (s *Server) RotateSecret(ctx context.Context, by access.Principal, id, reason string) (secret string, err error) {
	err = s.keep(ctx, by, id, reason, func(_ *store.Tx, old *Client) (Client, string, error) {
		if old == nil || !old.Ended.IsZero() {
			return Client{}, "", fault.New(fault.NotFound, "There is no such client.")
		}
		if old.Kind != Confidential || old.Keys != nil || old.KeysURL != "" {
			return *old, "", fault.New(fault.Conflict, "This client has no secret: it shows its keys, or nothing.")
		}
		c := *old
		var err error
		secret, err = c.NewSecret()
		return c, "secret-changed", err
	})
	return secret, err
}

// RestoreClient lets a client ask for tokens again, as it was. Errors: fault.NotFound; fault.Conflict when it may already.
func (s *Server) RestoreClient(ctx context.Context, by access.Principal, id, reason string) error {
	return s.keep(ctx, by, id, reason, func(_ *store.Tx, old *Client) (Client, string, error) {
		switch {
		case old == nil:
			return Client{}, "", fault.New(fault.NotFound, "There is no such client.")
		case old.Ended.IsZero():
			return *old, "", fault.New(fault.Conflict, "This client may ask for tokens already.")
		}
		return *old, "restored", nil
	})
}

// mayKeep is fault.Forbidden, on the account, unless by may change clients.
func (s *Server) mayKeep(ctx context.Context, by access.Principal, id, reason string) error {
	if by.AuthMethod == "service" {
		return nil // a part of the node, or whoever holds the data folder
	}
	if reason == "" {
		return fault.New(fault.Invalid, "Say why: it is kept with what you do.")
	}
	_, err := s.k.Gate.Decide(ctx, by, access.Update, access.Place{Type: access.TypeClient, ID: id, Exists: true})
	return err
}

// keep writes a client as next makes it of what is there, nil when nothing is, in one commit with its history and its account.
func (s *Server) keep(ctx context.Context, by access.Principal, id, reason string, next func(tx *store.Tx, old *Client) (Client, string, error)) error {
	if err := s.mayKeep(ctx, by, id, reason); err != nil {
		return err
	}
	return s.k.DB.Write(ctx, s.k.Gate.ChangeLanes(by, access.ClientSubject(id)), func(tx *store.Tx) error {
		var old *Client
		if found, err := s.registeredIn(tx, id); err == nil {
			old = &found
		} else if !fault.Is(err, fault.NotFound) {
			return err
		}
		c, act, err := next(tx, old)
		if err != nil {
			return err
		}
		c.Suspended = false
		if err := s.writeClient(tx, c); err != nil {
			return err
		}
		return s.k.Gate.NoteChange(ctx, tx, by, access.Change{Subject: access.ClientSubject(id), Act: act, Reason: reason})
	})
}

func (s *Server) writeClient(tx *store.Tx, c Client) error {
	c.ODS, c.Further = c.Organisation.String(), nil
	for _, t := range c.Tenants {
		c.Further = append(c.Further, t.String())
	}
	body, err := json.Marshal(c)
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "The client cannot be kept as it is.")
	}
	_, err = tx.Exec(`INSERT INTO oauth_client (lane, id, name, realm, body, made, ended) VALUES (?, ?, ?, ?, ?, ?, 0)
		ON CONFLICT (lane, id) DO UPDATE SET name = excluded.name, realm = excluded.realm, body = excluded.body,
		made = CASE WHEN oauth_client.ended <> 0 THEN excluded.made ELSE oauth_client.made END, ended = 0`,
		int64(s.clientLane(c.ID)), c.ID, c.Name, c.Realm, string(body), tx.At().UnixMicro())
	return err
}

// EndClient stops a client from asking for tokens, and ends all that people allowed it; with suspend, it is to come back. Errors:
// fault.NotFound; fault.Forbidden, on the account, for who may not.
func (s *Server) EndClient(ctx context.Context, by access.Principal, id, reason string, suspend bool) error {
	if err := s.mayKeep(ctx, by, id, reason); err != nil {
		return err
	}
	c, err := s.Registered(ctx, id)
	if err != nil {
		return err
	}
	lane, act := int64(s.clientLane(id)), "ended"
	if suspend {
		act = "suspended"
	}
	err = s.k.DB.Write(ctx, s.k.Gate.ChangeLanes(by, access.ClientSubject(id)), func(tx *store.Tx) error {
		now, err := s.registeredIn(tx, id)
		if err != nil {
			return err
		}
		if !now.Ended.IsZero() && (suspend || !now.Suspended) {
			return fault.New(fault.NotFound, "There is no such client, or it has ended already.")
		}
		now.Suspended = suspend
		if err := s.writeClient(tx, now); err != nil {
			return err
		}
		if _, err := tx.Exec(`UPDATE oauth_client SET ended = ?, made = ? WHERE lane = ? AND id = ?`, tx.At().UnixMicro(), now.Made.UnixMicro(), lane, id); err != nil {
			return err
		}
		return s.k.Gate.NoteChange(ctx, tx, by, access.Change{Subject: access.ClientSubject(id), Act: act, Reason: reason})
	})
	if err != nil {
		return err
	}
	if err := s.k.Gate.RevokeSession(ctx, by, c.session()); err != nil {
		return err
	}
	return s.endGrants(ctx, by, "the client "+act, `client = ?`, id)
}
