// Package shape makes of an event what one subscriber gets of it, as streams.json says:
//
//   - "when" chooses whether it gets the event at all;
//   - "redact" hides values of the body, byte for byte nothing else;
//   - "transform" makes a new body of what is left.
//
// They come in this order: the condition sees the body as its sender wrote it, the program sees only what is left
// after redaction. Whatever can't be decided or hidden is an error, and an event with an error is never handed on.
//
// # When
//
// A condition is written in the language of expr-lang.org, of which it knows the operators, predicates and
// functions that Check does not refuse. It sees
//
//	event    source, organization, interaction, id, type, media, subject, stream, sequence, occurred, received
//	body     the whole body
//	data     body.data
//
// Its logic has three values, as SQL's has: a comparison with a value that isn't there is neither true nor false but
// unknown, and so is its negation. Only true delivers. So a filter on a missing field is never true, however it is
// written: not data.x == 1, data.x != 1, !data.x and data.x not in [1] are all unknown if there is no x. But
// data.a == 1 or data.b == 2 is true if a is 1, whatever b is.
//
// JSON null is as good as missing, but for == nil and != nil: data.x == nil is true for null and unknown for
// a missing x. has(data.x) tells whether there is a value that isn't null, and data.x ?? "none" gives a missing or null one a value.
//
// Values of different kinds don't compare: 1 == "1" is unknown, and so is 1 != "1". Numbers compare as the decimals that
// they are written as, with all their digits. A time compares with a time, or with a text in RFC 3339.
//
// In any, all, none and one an element whose answer is unknown leaves the whole unknown, unless the others settle it. filter, count, find,
// map and sum pass such elements by.
//
// # Errors
//
// The errors of Check and New are about streams.json and show it. Those of Apply go to logs and dead letters, and show no value of the body:
// of a program's error its operation and the types are left, and of error(…) a text that is written out in the program. Explain has the rest.
//
// # Bounds
//
// An expression has at most 4 KiB and a program 8 KiB. A condition has a budget of steps, in which everything that grows with the
// body is paid for. A program has a budget of instructions, of memory and of time: 250 ms, which no built-in outlasts by much, a search with a
// regular expression included. Its regular expressions are written in it as texts, and it can reach neither the environment nor files nor other
// events. The result has at most 1 MiB.
package shape
