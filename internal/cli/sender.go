package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/genmesh/genmesh/genesys"
)

const (
	signatureHeader = "X-Genesys-Signature"
	sendTimeout     = 30 * time.Second
	maxAnswerBytes  = 64 << 10
	laneLength      = 4
)

// sender posts events over several lanes. A lane makes up interactions of its own and has one
// request under way at a time, so the events of an interaction arrive in order.
type sender struct {
	flags     *sendFlags
	way       sendWay
	userAgent string
	client    *http.Client
	limiter   *rate.Limiter
	tally     *tally
	bar       progress
}

func newSender(f *sendFlags, way sendWay, userAgent string) *sender {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = f.concurrency, f.concurrency
	limit := rate.Inf
	if f.rate > 0 {
		limit = rate.Limit(f.rate)
	}
	return &sender{
		flags: f, way: way, userAgent: userAgent,
		client: &http.Client{
			Transport: transport,
			Timeout:   sendTimeout,
			CheckRedirect: func(*http.Request, []*http.Request) error {
				return http.ErrUseLastResponse // a redirect is an answer; a signed body goes nowhere else
			},
		},
		limiter: rate.NewLimiter(limit, 1),
		tally:   newTally(f.count == 1),
	}
}

// run sends as many events as the flags say and returns when all are answered. The error is that
// of ctx: what goes wrong with a request is counted.
func (s *sender) run(ctx context.Context, events func(lane uint64) func() []byte) error {
	defer s.client.CloseIdleConnections()
	var group errgroup.Group
	lanes := s.flags.concurrency
	for lane := range lanes {
		share := s.flags.count / lanes
		if lane < s.flags.count%lanes {
			share++
		}
		group.Go(func() error { return s.serve(ctx, uint64(lane), share, events(uint64(lane))) })
	}
	return group.Wait()
}

// serve sends the events of one lane, one after another.
func (s *sender) serve(ctx context.Context, lane uint64, count int, next func() []byte) error {
	chance := rand.New(rand.NewPCG(s.flags.seed, lane))
	for range count {
		body, times := next(), 1
		if chance.Float64()*100 < s.flags.duplicatePercent {
			times = 2
		}
		for i := range times {
			if err := s.limiter.Wait(ctx); err != nil {
				return err
			}
			s.tally.count(s.post(ctx, body), i > 0)
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
		s.bar.add()
	}
	return nil
}

// answer is what became of one request.
type answer struct {
	status int
	body   string
	took   time.Duration
	err    error
}

func (s *sender) post(ctx context.Context, body []byte) answer {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.way.url, bytes.NewReader(body))
	if err != nil {
		return answer{err: err}
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", s.userAgent)
	err = s.way.verification.Sign(&genesys.Delivery{
		Method: request.Method, Host: request.URL.Host, URI: request.URL.RequestURI(), Header: request.Header, Body: body,
		Received: time.Now(),
	}, s.way.key)
	if err != nil {
		return answer{err: fmt.Errorf("sign: %w", err)}
	}
	began := time.Now()
	response, err := s.client.Do(request)
	if err != nil {
		return answer{err: err}
	}
	defer response.Body.Close() // only read
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes))
	if err != nil {
		return answer{err: fmt.Errorf("read the answer: %w", err)}
	}
	return answer{status: response.StatusCode, body: string(text), took: time.Since(began)}
}
