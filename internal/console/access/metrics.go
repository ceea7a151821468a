package access

import "github.com/prometheus/client_golang/prometheus"

// The results of attempts to sign in.
const (
	resultSuccess     = "success"
	resultRefused     = "refused"   // a wrong password, name or token
	resultThrottled   = "throttled" // too many attempts
	resultBusy        = "busy"      // too many passwords to check at once
	resultCrossOrigin = "cross_origin"
	resultNoRole      = "no_role"  // known to the identity provider, but nobody here
	resultProvider    = "provider" // the identity provider failed, or refused
)

type metrics struct{ logins *prometheus.CounterVec }

func newMetrics(r prometheus.Registerer, sessions func() float64) *metrics {
	m := &metrics{logins: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "genmesh_console_logins_total",
		Help: "Sessions begun at the console (success), and requests to it that were refused, by why. " +
			"A token or a password that comes with each request counts only where it is refused.",
	}, []string{"result"})}
	for _, result := range []string{resultSuccess, resultRefused, resultThrottled, resultBusy, resultCrossOrigin, resultNoRole, resultProvider} {
		m.logins.WithLabelValues(result) // so that each is there from the start
	}
	r.MustRegister(m.logins, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "genmesh_console_sessions",
		Help: "Sessions at the console that have not ended.",
	}, sessions))
	return m
}
