//go:build !azure

package archive

func azureMakers() map[string]maker { return nil }
