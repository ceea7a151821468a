//go:build !gcp

package broker

func gcpMakers() map[string]maker { return nil }
