// Package simulator is a Genesys Cloud that misbehaves on purpose: OAuth, the subscriptions API, the
// notification service and signed deliveries of invented interactions, with duplicates, reordering,
// retries, rotated keys, forgeries and whatever else a receiver meets. It keeps a ledger of what it sent
// and what it was answered, so that "sent = stored = delivered" can be proven.
package simulator
