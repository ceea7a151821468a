package live

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// collector exports the latest sample of a Watcher.
type collector struct {
	watcher *Watcher

	waiting, inHand, oldest, paused, served *prometheus.Desc
	messages, bytes, limit, fill, stored    *prometheus.Desc
	dead, quarantined                       *prometheus.Desc
	processes, age                          *prometheus.Desc
}

// stale is how old a sample is that is not exported any more: an alert on a number must not hold, or keep silent, because nobody can read it.
const stale = 30 * time.Second

// NewCollector returns the metrics of what a Watcher saw last. They are of the mesh and not of the process: each process that exports
// them says the same, so max and not sum over the processes tells it. Labels are the names of streams.json.
func NewCollector(w *Watcher) prometheus.Collector {
	about := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("genmesh_"+name, help, labels, nil)
	}
	return &collector{
		watcher: w,
		waiting: about("subscriber_waiting_events", "Events of the subscriber that were not handed out yet.", "subscriber"),
		inHand:  about("subscriber_in_hand_events", "Events of the subscriber that its workers have.", "subscriber"),
		oldest: about("subscriber_oldest_waiting_seconds",
			"Age of the event that the subscriber has not settled for the longest time; 0 if none waits.", "subscriber"),
		paused:    about("subscriber_paused", "1 while the server hands nothing out to the subscriber, because somebody paused it.", "subscriber"),
		served:    about("subscriber_served", "1 while a worker process is bound to each of the subscriber's consumers.", "subscriber"),
		messages:  about("stream_messages", "Messages that the stream holds.", "stream"),
		bytes:     about("stream_bytes", "Bytes that the stream holds.", "stream"),
		limit:     about("stream_limit_bytes", "Bytes that the stream may hold; left out for a stream without such a bound.", "stream"),
		fill:      about("stream_fill_ratio", "How much of the nearest of the stream's bounds on bytes and messages is used, 0 to 1; left out for a stream that discards its oldest then.", "stream"),
		stored:    about("stream_last_stored_timestamp_seconds", "When the stream stored a message last.", "stream"),
		dead:      about("dead_letters", "Dead letters that wait for somebody, by subscriber.", "subscriber"),
		processes: about("processes", "Processes of the mesh that answer."),
		age:       about("live_sample_age_seconds", "Age of the sample that the metrics of the mesh come from; older than 30 s they are left out."),

		quarantined: about("quarantined_events", "Events in quarantine that wait for somebody, by source.", "source"),
	}
}

func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{
		c.waiting, c.inHand, c.oldest, c.paused, c.served, c.messages, c.bytes, c.limit, c.fill, c.stored, c.dead, c.quarantined,
		c.processes, c.age,
	} {
		to <- desc
	}
}

func (c *collector) Collect(to chan<- prometheus.Metric) {
	tell := func(desc *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	now, s := time.Now(), c.watcher.latest.Load()
	if s.At.IsZero() {
		return
	}
	tell(c.age, now.Sub(s.At).Seconds())
	if now.Sub(s.At) > stale {
		return
	}
	tell(c.processes, float64(s.Processes))
	for name, f := range s.Subscribers {
		if s.DeadLetters != nil {
			tell(c.dead, float64(s.DeadLetters[name]), name)
		}
		if now.Sub(f.read) <= stale {
			c.subscriber(tell, name, f, now)
		}
	}
	for name := range s.Sources {
		if s.Quarantined != nil {
			tell(c.quarantined, float64(s.Quarantined[name]), name)
		}
	}
	for name, f := range s.Streams {
		if f.Applied && now.Sub(f.read) <= stale {
			c.stream(tell, name, f)
		}
	}
}

func (c *collector) subscriber(tell func(*prometheus.Desc, float64, ...string), name string, f SubscriberFlow, now time.Time) {
	tell(c.waiting, float64(f.Waiting), name)
	tell(c.inHand, float64(f.InHand), name)
	tell(c.paused, flag(f.Paused), name)
	tell(c.served, flag(f.Served), name)
	age := 0.0
	if f.Oldest != nil {
		age = max(now.Sub(f.Oldest.Stored).Seconds(), 0) // the server's clock may be ahead
	}
	tell(c.oldest, age, name)
}

func (c *collector) stream(tell func(*prometheus.Desc, float64, ...string), name string, f StreamFlow) {
	tell(c.messages, float64(f.Messages), name)
	tell(c.bytes, float64(f.Bytes), name)
	if !f.rolls {
		tell(c.fill, f.Fill, name)
	}
	if f.MaxBytes > 0 {
		tell(c.limit, float64(f.MaxBytes), name)
	}
	if !f.LastStored.IsZero() {
		tell(c.stored, float64(f.LastStored.UnixNano())/1e9, name)
	}
}

func flag(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
