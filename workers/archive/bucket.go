//go:build aws || gcp || azure

package archive

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"
	"sync"

	"gocloud.dev/blob"
)

// bucket keeps objects in a bucket of the Go CDK. What put returned nil for is as durable as the service makes it.
type bucket struct {
	url    *url.URL // without the prefix
	prefix string
	name   string

	mu   sync.Mutex
	open *blob.Bucket // nil before the first object
}

// newBucket takes the URL's path as the prefix, or its parameter "prefix". All other parameters are the Go CDK's.
func newBucket(p place) (store, error) {
	if p.url.Host == "" || p.url.User != nil {
		return nil, fmt.Errorf(`the url is not of the form "%s://bucket/prefix"`, p.url.Scheme)
	}
	bare := *p.url
	query := bare.Query()
	prefix := strings.Trim(path.Join(bare.Path, query.Get("prefix")), "/")
	query.Del("prefix")
	bare.Path, bare.RawPath, bare.RawQuery = "", "", query.Encode()
	return &bucket{url: &bare, prefix: prefix, name: p.name}, nil
}

func (b *bucket) put(ctx context.Context, name string, content []byte) error {
	opened, err := b.opened(ctx)
	if err != nil {
		return b.hide(err)
	}
	// No content encoding: what reads the object shall get the file that its name promises.
	options := &blob.WriterOptions{ContentType: "application/gzip", DisableContentTypeDetection: true}
	if err := opened.WriteAll(ctx, path.Join(b.prefix, name), content, options); err != nil {
		return b.hide(err)
	}
	return nil
}

func (b *bucket) opened(ctx context.Context) (*blob.Bucket, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open == nil {
		opened, err := blob.OpenBucket(context.WithoutCancel(ctx), b.url.String()) // the bucket outlives the call
		if err != nil {
			return nil, err
		}
		b.open = opened
	}
	return b.open, nil
}

// hide takes the URL out of an error: the Go CDK quotes it whole.
func (b *bucket) hide(err error) error {
	text := strings.ReplaceAll(err.Error(), b.url.String(), b.name)
	if text == err.Error() {
		return err
	}
	return errors.New(text)
}

func (b *bucket) close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open == nil {
		return nil
	}
	return b.open.Close()
}
