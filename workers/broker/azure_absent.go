//go:build !azure

package broker

func azureMakers() map[string]maker { return nil }
