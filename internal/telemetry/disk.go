package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/genmesh/genmesh/mesh/embedded/disk"
)

// diskCollector looks at a disk when it is asked.
type diskCollector struct {
	folder     string
	free, size *prometheus.Desc
}

// NewDiskMetrics returns the metrics of the disk that holds the data folder of an embedded server. Where the system does not tell, there
// are none.
func NewDiskMetrics(folder string) prometheus.Collector {
	about := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("genmesh_data_disk_"+name, help, nil, nil)
	}
	return &diskCollector{
		folder: folder,
		free:   about("free_bytes", "Bytes that may still be filled on the disk of the data folder."),
		size:   about("size_bytes", "Size of the disk of the data folder."),
	}
}

func (c *diskCollector) Describe(to chan<- *prometheus.Desc) { to <- c.free; to <- c.size }

func (c *diskCollector) Collect(to chan<- prometheus.Metric) {
	space, err := disk.Read(c.folder)
	if err != nil {
		return
	}
	to <- prometheus.MustNewConstMetric(c.free, prometheus.GaugeValue, float64(space.Free))
	to <- prometheus.MustNewConstMetric(c.size, prometheus.GaugeValue, float64(space.Size))
}
