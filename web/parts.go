package web

import "github.com/a-h/templ"

// Row is one line of a summary list: what, and what it is. Value wins over Text. Change links to where it is changed.
type Row struct {
	Key    string
	Text   string
	Value  templ.Component
	Change Link
}

// Colour is a tag's colour. The word in the tag says the same thing: colour alone says nothing.
type Colour string

// The colours of tags in the design system.
const (
	Blue   Colour = "blue" // the zero Colour looks like this
	Grey   Colour = "grey"
	Green  Colour = "green"
	Yellow Colour = "yellow"
	Orange Colour = "orange"
	Red    Colour = "red"
	White  Colour = "white"
	Purple Colour = "purple"
	Pink   Colour = "pink"
	Aqua   Colour = "aqua-green"
)

// TabItem is one tab: its id is what the URL ends in when it is open. Without JavaScript the tabs are a list of
// contents and the panels follow one another.
type TabItem struct {
	ID, Label string
	Panel     templ.Component
}

// Task is one line of a task list: something to do, where, and how far it is.
type Task struct {
	Text, Hint, URL string
	Status          string
	Colour          Colour // of the status; empty shows the status as plain text
}
