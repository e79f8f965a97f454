-- Mailboxes: ours, and those at other nodes that our own may send to (elsewhere). secret is the password, enciphered with a key that is not in the database.
CREATE TABLE mesh_mailbox (lane INTEGER NOT NULL, mailbox TEXT NOT NULL, ods TEXT NOT NULL, name TEXT NOT NULL, owner TEXT NOT NULL, secret BLOB NOT NULL,
	state INTEGER NOT NULL, bound INTEGER NOT NULL, elsewhere INTEGER NOT NULL, certificate TEXT NOT NULL, at INTEGER NOT NULL,
	PRIMARY KEY (lane, mailbox)) WITHOUT ROWID;
CREATE INDEX mesh_mailbox_ods ON mesh_mailbox (ods);

-- What a mailbox may send and takes, by workflow.
CREATE TABLE mesh_workflow (lane INTEGER NOT NULL, mailbox TEXT NOT NULL, workflow TEXT NOT NULL, sends INTEGER NOT NULL, takes INTEGER NOT NULL,
	PRIMARY KEY (lane, mailbox, workflow)) WITHOUT ROWID;
CREATE INDEX mesh_workflow_name ON mesh_workflow (workflow);

-- The key that all mailboxes of this node share, enciphered.
CREATE TABLE mesh_shared (lane INTEGER NOT NULL, name TEXT NOT NULL, secret BLOB NOT NULL, at INTEGER NOT NULL,
	PRIMARY KEY (lane, name)) WITHOUT ROWID;

-- When the program of a mailbox was heard of last, and what it says that it is.
CREATE TABLE mesh_seen (lane INTEGER NOT NULL, mailbox TEXT NOT NULL, at INTEGER NOT NULL, shook INTEGER NOT NULL, program TEXT NOT NULL, machine TEXT NOT NULL,
	PRIMARY KEY (lane, mailbox)) WITHOUT ROWID;

-- Mail of a mailbox: what it sends (side 1) and what came for it (side 2). at is when it was taken or came, changed when its state last did, expires when the state
-- ends by itself (0 for never), other the mailbox at the other end, post the message that carried it.
CREATE TABLE mesh_mail (lane INTEGER NOT NULL, mailbox TEXT NOT NULL, side INTEGER NOT NULL, id TEXT NOT NULL,
	state INTEGER NOT NULL, at INTEGER NOT NULL, changed INTEGER NOT NULL, expires INTEGER NOT NULL, opened INTEGER NOT NULL,
	kind TEXT NOT NULL, other TEXT NOT NULL, ods TEXT NOT NULL, workflow TEXT NOT NULL, subject TEXT NOT NULL, local TEXT NOT NULL, file TEXT NOT NULL, checksum TEXT NOT NULL,
	partner TEXT NOT NULL, encoding TEXT NOT NULL, type TEXT NOT NULL, flags INTEGER NOT NULL, chunks INTEGER NOT NULL, size INTEGER NOT NULL,
	linked TEXT NOT NULL, event TEXT NOT NULL, code TEXT NOT NULL, description TEXT NOT NULL, post TEXT NOT NULL,
	PRIMARY KEY (lane, mailbox, side, id)) WITHOUT ROWID;
CREATE INDEX mesh_mail_state ON mesh_mail (lane, mailbox, side, state, at, id);
CREATE INDEX mesh_mail_local ON mesh_mail (lane, mailbox, local) WHERE local <> '';
CREATE INDEX mesh_mail_expires ON mesh_mail (expires) WHERE expires > 0;

-- The pieces of mail, in order, as files of the post.
CREATE TABLE mesh_part (lane INTEGER NOT NULL, mailbox TEXT NOT NULL, side INTEGER NOT NULL, id TEXT NOT NULL, num INTEGER NOT NULL, hash BLOB NOT NULL, size INTEGER NOT NULL,
	PRIMARY KEY (lane, mailbox, side, id, num)) WITHOUT ROWID;
CREATE INDEX mesh_mail_post ON mesh_mail (post) WHERE post <> '';

-- What came as the body of another service's message, and is small.
CREATE TABLE mesh_body (lane INTEGER NOT NULL, mailbox TEXT NOT NULL, id TEXT NOT NULL, body BLOB NOT NULL,
	PRIMARY KEY (lane, mailbox, id)) WITHOUT ROWID;
