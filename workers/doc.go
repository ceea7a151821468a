// Package workers takes events out of the mesh: one durable push consumer per subscriber, whose
// events it hands to a Handler, in order within each interaction, until the handler took them
// or they are dead letters.
//
// The error that a Handler returns is the event's fate: nil acknowledges it, Permanent makes it
// a dead letter at once, RetryAfter makes the whole subscriber wait, and any other error is
// tried again after a backoff until the subscriber's max_attempts are used up.
//
// workers knows nothing of HTTP, files or Genesys. The packages below it are kinds of target.
package workers
