//go:build aws

package archive

import "gocloud.dev/blob/s3blob"

func awsMakers() map[string]maker { return map[string]maker{s3blob.Scheme: newBucket} }
