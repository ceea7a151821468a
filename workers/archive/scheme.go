package archive

import (
	"fmt"
	"maps"
	"slices"
)

// LocalScheme is the scheme of a local folder: "archive+file:///var/lib/genmesh/archive", or "archive+file:folder".
const LocalScheme = "archive+file"

// maker makes a store without connecting.
type maker func(place) (store, error)

// known are the schemes and the build tags that they need; "" is none.
var known = map[string]string{LocalScheme: "", "s3": "aws", "gs": "gcp", "azblob": "azure"}

// clouds are the names of those whose libraries a tag brings in.
var clouds = map[string]string{"aws": "Amazon Web Services", "gcp": "Google Cloud", "azure": "Microsoft Azure"}

// makers are those of this build.
func makers() map[string]maker {
	all := map[string]maker{LocalScheme: newFolder}
	maps.Copy(all, awsMakers())
	maps.Copy(all, gcpMakers())
	maps.Copy(all, azureMakers())
	return all
}

// Schemes are the URL schemes that this build serves, sorted.
func Schemes() []string { return slices.Sorted(maps.Keys(makers())) }

// Known reports whether scheme is an archive's in some build, and the build tag that it needs, or "" if it needs none.
func Known(scheme string) (tag string, ok bool) {
	tag, ok = known[scheme]
	return tag, ok
}

func notBuiltIn(scheme string) error {
	tag, ok := Known(scheme)
	if !ok {
		return fmt.Errorf("the scheme %q is no archive's: use one of %v", scheme, Schemes())
	}
	return fmt.Errorf("this binary was built without %s: build with -tags %s to use %s://", clouds[tag], tag, scheme)
}
