package match

// Slip is slip, for the tests.
func Slip(a, b Date) bool { return slip(a, b) }
