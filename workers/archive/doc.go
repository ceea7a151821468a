// Package archive is the target that keeps events for good: gzipped lines of JSON in objects that are partitioned by time, in a local
// folder or, in builds with the tag aws, gcp or azure, in a bucket of Amazon S3, Google Cloud Storage or Azure Blob Storage.
//
// Objects are named
//
//	<prefix>/<stream>/year=2026/month=11/day=24/hour=17/<first sequence>-<last sequence>-<hash>.ndjson.gz
//
// by the hour, in UTC, in which the events were stored; query engines read such folders as partitions. A line is as package ndjson writes
// it, and the lines are in the order of their sequence. The hash is that of the lines: an upload that is repeated replaces its object by
// the same. An event whose upload failed, or whose process crashed, can stand in two objects: readers tell repeated lines by their
// idempotency_key.
//
// An event counts as taken once its object is complete. Until then its call waits, so a subscriber with an archive needs a max_in_flight
// and a max_ack_pending of at least flush_events: with fewer, objects are as small as max_in_flight and there is one in each flush_every.
// Events of one interaction wait for one another, one in each object, unless the subscriber's order is "none".
package archive
