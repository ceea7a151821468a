// Package cloud is a client of the Genesys Cloud Platform API, as far as events need it: OAuth client
// credentials, webhook subscriptions and notification channels.
package cloud
