-- What a person searches by, each with the id, which sorts by time. By state are found those that are not handled, but for those that wait for
-- their first turn here: these are behind their queue's cursor.
CREATE INDEX post_message_sender ON post_message (sender, id);
CREATE INDEX post_message_recipient ON post_message (recipient, id);
CREATE INDEX post_message_workflow ON post_message (workflow, id);
CREATE INDEX post_message_open ON post_message (state, id) WHERE state <> 4 AND (state <> 2 OR turn > 0);
