package broker

import (
	"fmt"
	"maps"
	"slices"
)

// maker reads what a target's URL says, and no file. What it returns makes the publisher, without connecting.
type maker func(place) (opener, error)

type opener func() (publisher, error)

// known are the schemes and the build tags that they need; "" is none.
var known = map[string]string{
	"kafka": "", "rabbit": "", "awssqs": "aws", "awssns": "aws", "gcppubsub": "gcp", "azuresb": "azure",
}

// clouds are the names of those whose libraries a tag brings in.
var clouds = map[string]string{"aws": "Amazon Web Services", "gcp": "Google Cloud", "azure": "Microsoft Azure"}

// makers are those of this build.
func makers() map[string]maker {
	all := map[string]maker{"kafka": newKafka, "rabbit": newRabbit}
	maps.Copy(all, awsMakers())
	maps.Copy(all, gcpMakers())
	maps.Copy(all, azureMakers())
	return all
}

// Schemes are the URL schemes that this build serves, sorted.
func Schemes() []string { return slices.Sorted(maps.Keys(makers())) }

// Known reports whether scheme is a broker's in some build, and the build tag that it needs, or "" if it needs none.
func Known(scheme string) (tag string, ok bool) {
	tag, ok = known[scheme]
	return tag, ok
}

func notBuiltIn(scheme string) error {
	tag, ok := Known(scheme)
	if !ok {
		return fmt.Errorf("the scheme %q is no broker's: use one of %v", scheme, Schemes())
	}
	return fmt.Errorf("this binary was built without %s: build with -tags %s to use %s://", clouds[tag], tag, scheme)
}
