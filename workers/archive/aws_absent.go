//go:build !aws

package archive

func awsMakers() map[string]maker { return nil }
