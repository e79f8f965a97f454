package audit

// SampleLeaf is a leaf as the log holds it.
func SampleLeaf() []byte {
	k := keys{secret: make([]byte, 32)}
	return k.sealer(0).build("life", 1, []Entry{{Seq: 1, Action: "read"}, {Seq: 2, Action: "search"}}).marshal()
}

// RoundTripLeaf reads a leaf and writes it again.
func RoundTripLeaf(b []byte) ([]byte, error) {
	f, err := parseLeaf(b)
	if err != nil {
		return nil, err
	}
	return f.marshal(), nil
}
