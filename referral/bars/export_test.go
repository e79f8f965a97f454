package bars

// Unreached words why no answer came from a service elsewhere.
func Unreached(err error) error { return unreached(err) }
