package api

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// witness stands before the API and holds each request and each answer against the document.
type witness struct {
	t        *testing.T
	document *openapi3.T
	routes   []route
	next     http.Handler

	mu   sync.Mutex
	seen map[string]bool // "GET /overview 200"
}

func newWitness(t *testing.T, o Options, next http.Handler) *witness {
	return &witness{t: t, document: loadDocument(t), routes: (&server{o: o}).routes(), next: next, seen: map[string]bool{}}
}

func loadDocument(t *testing.T) *openapi3.T {
	t.Helper()
	loader := openapi3.NewLoader()
	loaded, err := loader.LoadFromData(document)
	require.NoError(t, err)
	require.NoError(t, loaded.Validate(loader.Context))
	return loaded
}

// taker keeps what goes through it.
type taker struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (t *taker) WriteHeader(status int) {
	t.status = status
	t.ResponseWriter.WriteHeader(status)
}

func (t *taker) Write(data []byte) (int, error) {
	t.body.Write(data)
	return t.ResponseWriter.Write(data)
}

func (t *taker) Unwrap() http.ResponseWriter { return t.ResponseWriter }

func (w *witness) ServeHTTP(to http.ResponseWriter, r *http.Request) {
	sent, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(sent))
	took := &taker{ResponseWriter: to}
	w.next.ServeHTTP(took, r)
	if found, params := w.find(r); found != nil && r.Method != http.MethodHead {
		w.check(found, params, r, sent, took)
	}
}

// find is the operation of a request; nil if there is none.
func (w *witness) find(r *http.Request) (*routers.Route, map[string]string) {
	parts := strings.Split(strings.TrimPrefix(r.URL.EscapedPath(), root), "/")
	for _, one := range w.routes {
		names := strings.Split(one.path, "/")
		if one.method != r.Method || len(names) != len(parts) {
			continue
		}
		params, fits := map[string]string{}, true
		for i, name := range names {
			if strings.HasPrefix(name, "{") {
				params[strings.Trim(name, "{}")] = parts[i]
			} else {
				fits = fits && name == parts[i]
			}
		}
		if fits {
			item := w.document.Paths.Find(one.path)
			return &routers.Route{Spec: w.document, Path: one.path, PathItem: item, Method: r.Method, Operation: item.GetOperation(r.Method)}, params
		}
	}
	return nil, nil
}

func (w *witness) check(found *routers.Route, params map[string]string, r *http.Request, sent []byte, took *taker) {
	of := r.Method + " " + found.Path
	w.mu.Lock()
	w.seen[of+" "+http.StatusText(took.status)] = true
	w.mu.Unlock()
	again := r.Clone(r.Context())
	again.Body = io.NopCloser(bytes.NewReader(sent))
	input := &openapi3filter.RequestValidationInput{
		Request: again, PathParams: params, Route: found,
		Options: &openapi3filter.Options{
			AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true,
		},
	}
	if err := openapi3filter.ValidateRequest(r.Context(), input); err != nil {
		assert.GreaterOrEqual(w.t, took.status, 400, "%s is taken though the document forbids it: %v", of, err)
	}
	if strings.HasPrefix(took.Header().Get("Content-Type"), "text/event-stream") {
		return
	}
	err := openapi3filter.ValidateResponse(r.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: took.status, Header: took.Header(), Body: io.NopCloser(bytes.NewReader(took.body.Bytes())),
		Options: input.Options,
	})
	assert.NoError(w.t, err, "%s answers %d: %s", of, took.status, took.body.String())
	assert.True(w.t, json.Valid(took.body.Bytes()), of)
}

// succeeded reports whether an operation was seen to answer with what was asked for.
func (w *witness) succeeded(of string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen[of+" OK"] || w.seen[of+" Created"] || w.seen[of+" Accepted"]
}
