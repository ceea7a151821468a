//go:build !gcp

package archive

func gcpMakers() map[string]maker { return nil }
