-- The lives of this database: one row for each incarnation in which it ran, in order.
CREATE TABLE post_life (lane INTEGER NOT NULL, life INTEGER NOT NULL, incarnation TEXT NOT NULL, at INTEGER NOT NULL,
	PRIMARY KEY (lane, life)) WITHOUT ROWID;

-- Destinations. queue is a hash of the rest; a node has one queue for each of our lives.
CREATE TABLE post_queue (lane INTEGER NOT NULL, queue INTEGER NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, life INTEGER NOT NULL, incarnation TEXT NOT NULL,
	PRIMARY KEY (lane, queue)) WITHOUT ROWID;
CREATE INDEX post_queue_name ON post_queue (kind, name);

-- How far a queue has come in a lane: next is the next number, all up to done are off our hands (handled or held; for a node: acknowledged),
-- and nothing after tried was ever sent.
CREATE TABLE post_stream (lane INTEGER NOT NULL, queue INTEGER NOT NULL, next INTEGER NOT NULL, done INTEGER NOT NULL, tried INTEGER NOT NULL,
	PRIMARY KEY (lane, queue)) WITHOUT ROWID;
CREATE INDEX post_stream_queue ON post_stream (queue);

-- Messages: sent from here, or come from a node (source and number say as what). turn counts changes of state here, base those before it was redirected;
-- heard is the last turn that the next node told us of, with the ordinal of that node's life above it.
CREATE TABLE post_message (lane INTEGER NOT NULL, queue INTEGER NOT NULL, num INTEGER NOT NULL,
	state INTEGER NOT NULL, turn INTEGER NOT NULL, base INTEGER NOT NULL, heard INTEGER NOT NULL, at INTEGER NOT NULL, delivered INTEGER NOT NULL, ended INTEGER NOT NULL, expires INTEGER NOT NULL, size INTEGER NOT NULL,
	hops INTEGER NOT NULL, source INTEGER NOT NULL, number INTEGER NOT NULL,
	sender TEXT NOT NULL, recipient TEXT NOT NULL, workflow TEXT NOT NULL, conversation TEXT NOT NULL, id TEXT NOT NULL, files BLOB NOT NULL,
	PRIMARY KEY (lane, queue, num)) WITHOUT ROWID;
CREATE INDEX post_message_id ON post_message (id);

CREATE TABLE post_body (lane INTEGER NOT NULL, queue INTEGER NOT NULL, num INTEGER NOT NULL, body BLOB NOT NULL,
	PRIMARY KEY (lane, queue, num)) WITHOUT ROWID;

-- What a queue's cursor has passed and is not off our hands: to be tried again when due, behind another of its conversation, fetching, or parked.
CREATE TABLE post_held (lane INTEGER NOT NULL, queue INTEGER NOT NULL, num INTEGER NOT NULL, sender TEXT NOT NULL, conversation TEXT NOT NULL,
	why INTEGER NOT NULL, tries INTEGER NOT NULL, due INTEGER NOT NULL, since INTEGER NOT NULL, owner TEXT NOT NULL, reason TEXT NOT NULL,
	PRIMARY KEY (lane, queue, num)) WITHOUT ROWID;
CREATE INDEX post_held_conversation ON post_held (lane, queue, sender, conversation, num);
CREATE INDEX post_held_due ON post_held (due) WHERE due > 0;
CREATE INDEX post_held_parked ON post_held (since) WHERE why = 4;

-- What happened to a message out of the ordinary.
CREATE TABLE post_event (lane INTEGER NOT NULL, queue INTEGER NOT NULL, num INTEGER NOT NULL, at INTEGER NOT NULL, step INTEGER NOT NULL,
	what TEXT NOT NULL, actor TEXT NOT NULL, reason TEXT NOT NULL,
	PRIMARY KEY (lane, queue, num, at, step)) WITHOUT ROWID;

-- The lives of each peer that we have met; one is its latest. retell: it, or we, lost days, and it is still to be told what we have of it.
CREATE TABLE post_peer (lane INTEGER NOT NULL, peer TEXT NOT NULL, incarnation TEXT NOT NULL, latest INTEGER NOT NULL, ordinal INTEGER NOT NULL, retell INTEGER NOT NULL, at INTEGER NOT NULL,
	PRIMARY KEY (lane, peer, incarnation)) WITHOUT ROWID;

-- Streams that come in: a peer's lane in one of its lives, and the highest number that is here.
CREATE TABLE post_source (lane INTEGER NOT NULL, source INTEGER NOT NULL, peer TEXT NOT NULL, incarnation TEXT NOT NULL, peerlane INTEGER NOT NULL, mark INTEGER NOT NULL,
	PRIMARY KEY (lane, source)) WITHOUT ROWID;
CREATE INDEX post_source_peer ON post_source (peer);

-- Numbers of a stream that its sender left out, for it had given them up before it sent them: should a restore make it forget that, they
-- must not be taken to have arrived.
CREATE TABLE post_gap (lane INTEGER NOT NULL, source INTEGER NOT NULL, low INTEGER NOT NULL, high INTEGER NOT NULL,
	PRIMARY KEY (lane, source, low)) WITHOUT ROWID;

-- What peers are still to be told about the messages that came from them, in order.
CREATE TABLE post_note (lane INTEGER NOT NULL, peer TEXT NOT NULL, source INTEGER NOT NULL, low INTEGER NOT NULL, high INTEGER NOT NULL, at INTEGER NOT NULL,
	state INTEGER NOT NULL, turn INTEGER NOT NULL, reason TEXT NOT NULL, envelope BLOB NOT NULL,
	PRIMARY KEY (lane, peer, at, source, low)) WITHOUT ROWID;
CREATE INDEX post_note_peer ON post_note (peer, lane, at, source, low);

-- Where an organisation's post goes that is not kept here; an empty workflow stands for all.
CREATE TABLE post_route (lane INTEGER NOT NULL, recipient TEXT NOT NULL, workflow TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, at INTEGER NOT NULL, actor TEXT NOT NULL,
	PRIMARY KEY (lane, recipient, workflow)) WITHOUT ROWID;

-- How many messages were pruned, by stream and by what had become of them, so that ledgers go on adding up.
CREATE TABLE post_pruned (lane INTEGER NOT NULL, queue INTEGER NOT NULL, source INTEGER NOT NULL, state INTEGER NOT NULL, messages INTEGER NOT NULL,
	PRIMARY KEY (lane, queue, source, state)) WITHOUT ROWID;

-- Large payloads, by the SHA-256 of their bytes once they are whole.
CREATE TABLE post_file (lane INTEGER NOT NULL, file TEXT NOT NULL, hash BLOB NOT NULL, size INTEGER NOT NULL, whole INTEGER NOT NULL, at INTEGER NOT NULL, used INTEGER NOT NULL,
	PRIMARY KEY (lane, file)) WITHOUT ROWID;
CREATE INDEX post_file_hash ON post_file (hash);

-- Which messages need which files: these are kept, and may be fetched by where those go.
CREATE TABLE post_attach (lane INTEGER NOT NULL, queue INTEGER NOT NULL, num INTEGER NOT NULL, hash BLOB NOT NULL,
	PRIMARY KEY (lane, queue, num, hash)) WITHOUT ROWID;
CREATE INDEX post_attach_hash ON post_attach (hash);
CREATE TABLE post_chunk (lane INTEGER NOT NULL, file TEXT NOT NULL, num INTEGER NOT NULL, data BLOB NOT NULL,
	PRIMARY KEY (lane, file, num)) WITHOUT ROWID;
