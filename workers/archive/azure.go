//go:build azure

package archive

import "gocloud.dev/blob/azureblob"

func azureMakers() map[string]maker { return map[string]maker{azureblob.Scheme: newBucket} }
