package telemetry

import (
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
)

// natsCollector reads the counts of a connection when it is asked.
type natsCollector struct {
	conn                                                       *nats.Conn
	up, reconnects, inMessages, outMessages, inBytes, outBytes *prometheus.Desc
}

// NewNATSMetrics returns the metrics of the process' connection to NATS.
func NewNATSMetrics(conn *nats.Conn) prometheus.Collector {
	about := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("genmesh_nats_"+name, help, nil, nil)
	}
	return &natsCollector{
		conn:        conn,
		up:          about("connection_up", "1 while this process is connected to NATS."),
		reconnects:  about("reconnects_total", "How often the connection to NATS was lost and found again."),
		inMessages:  about("received_messages_total", "Messages that NATS handed to this process."),
		outMessages: about("sent_messages_total", "Messages that this process handed to NATS, acknowledgements included."),
		inBytes:     about("received_bytes_total", "Bytes of the messages that NATS handed to this process."),
		outBytes:    about("sent_bytes_total", "Bytes of the messages that this process handed to NATS."),
	}
}

func (c *natsCollector) Describe(to chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{c.up, c.reconnects, c.inMessages, c.outMessages, c.inBytes, c.outBytes} {
		to <- desc
	}
}

func (c *natsCollector) Collect(to chan<- prometheus.Metric) {
	up := 0.0
	if c.conn.IsConnected() {
		up = 1
	}
	to <- prometheus.MustNewConstMetric(c.up, prometheus.GaugeValue, up)
	s := c.conn.Stats()
	for _, count := range []struct {
		desc  *prometheus.Desc
		value uint64
	}{
		{c.reconnects, s.Reconnects},
		{c.inMessages, s.InMsgs}, {c.outMessages, s.OutMsgs}, {c.inBytes, s.InBytes}, {c.outBytes, s.OutBytes},
	} {
		to <- prometheus.MustNewConstMetric(count.desc, prometheus.CounterValue, float64(count.value))
	}
}
