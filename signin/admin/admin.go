// Package admin is for those who say who may come in: an organisation's registration authority for the people who work there, and the
// node's administrators for everybody, for programs and for the keys.
//
//	joins ──► may sign in ──► moves (keeps what the new post gives) ──► leaves: out at once
//	               │  └── reviewed, once a year
//	               └── suspended ──► restored
//
// Each act has a reason, and is kept with who did it. Nobody changes their own access, and the last administrator stays.
package admin
