package main

type serveCommand struct{}
type importCommand struct{}
type backupCommand struct{}
type restoreCommand struct{}
type auditCommand struct{}

func (serveCommand) Run(s *session) error   { return nil }
func (importCommand) Run(s *session) error  { return nil }
func (backupCommand) Run(s *session) error  { return nil }
func (restoreCommand) Run(s *session) error { return nil }
func (auditCommand) Run(s *session) error   { return nil }
