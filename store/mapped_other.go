//go:build !linux

package store

// mapped is nothing here: connections that read ask the system for each page.
type mapped struct{}

func newMapped() *mapped          { return nil }
func (m *mapped) close()          {}
func (m *mapped) vfsName() string { return "" }
