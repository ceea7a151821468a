// Package schema looks at the content of events: whether it is as a JSON Schema says, and whether
// its fields change over time.
//
// Both cost little while events keep their shape, that is the names of their fields and the kinds of
// their values. A shape is found in one pass over the bytes; what is known of a shape goes for every
// event that has it. So a new shape is looked at whole, and an old one is not.
package schema
