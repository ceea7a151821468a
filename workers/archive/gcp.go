//go:build gcp

package archive

import "gocloud.dev/blob/gcsblob"

func gcpMakers() map[string]maker { return map[string]maker{gcsblob.Scheme: newBucket} }
