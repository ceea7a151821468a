// Package genesys is all that genmesh knows of Genesys Cloud: how its deliveries are signed,
// where their envelope values are, and what its events look like.
//
// It imports nothing of genmesh's own and knows neither HTTP servers nor NATS.
package genesys
