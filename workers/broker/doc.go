// Package broker is the target of message brokers: Apache Kafka and RabbitMQ in every build, and the queues of Amazon, Google and
// Microsoft in builds with the tag aws, gcp or azure.
//
// A message's body is the event's body byte for byte. Its headers are those of CloudEvents 1.0 in binary mode, under the names that the
// binding of the protocol gives them, and genmesh's own, which are called the same everywhere and the same as in HTTP:
//
//	Kafka            ce_id, ce_type, ...                    content-type as a header (Kafka binding 1.0.2, section 3.2.3)
//	RabbitMQ, Azure  cloudEvents_id, cloudEvents_type, ...  content-type as the message's property (AMQP binding 1.0.2, section 3.1)
//	Google           ce-id, ce-type, ...                    Content-Type as an attribute
//	Amazon           ce_id, ce_type, ...                    without some: see below
//	all              Idempotency-Key, Genmesh-Subscriber, -Stream, -Sequence, -Attempt, -Interaction, traceparent, tracestate
//
// The id is the event's idempotency key, the source "/genmesh/<source>", the type the event's or "event", the subject the interaction id,
// the time when the sender says that it happened, else when it was received. Values are UTF-8 as they are; bytes that are not UTF-8
// become U+FFFD, and what is empty is left out. Amazon allows ten attributes, one of which may be needed to say that a body is in base64:
// there Idempotency-Key (ce_id), Genmesh-Interaction (ce_subject), Genmesh-Subscriber, Genmesh-Attempt, tracestate and content-type are left out.
//
// Events of one interaction keep their order, for a runner hands them on one after another: in Kafka the interaction id is the key, so that
// they share a partition; in RabbitMQ they share a connection; in Google Pub/Sub it is the ordering key, in Service Bus the session, in an
// Amazon FIFO queue or topic the message group. Whoever reads must tell repeated events by their idempotency key.
package broker
