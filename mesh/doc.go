// Package mesh is what both sides of genmesh share: the events, the streams.json that names
// their streams and subscribers, and the durable operations on them (commit, plan and apply,
// dead letters, replay).
//
// mesh knows neither HTTP nor targets. ingress stores events through it, workers read them
// through it, and neither imports the other.
package mesh
