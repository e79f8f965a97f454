-- What a system elsewhere answered to a message that was sent from here, until the sender's service has been told.
CREATE TABLE post_answer (lane INTEGER NOT NULL, queue INTEGER NOT NULL, num INTEGER NOT NULL, answer BLOB NOT NULL,
	PRIMARY KEY (lane, queue, num)) WITHOUT ROWID;
