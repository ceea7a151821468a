//go:build !aws

package broker

func awsMakers() map[string]maker { return nil }
