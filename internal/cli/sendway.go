package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"

	"github.com/spf13/cobra"

	"github.com/genmesh/genmesh/genesys"
	"github.com/genmesh/genmesh/ingress"
	"github.com/genmesh/genmesh/mesh"
)

// sendWay is how events are signed, where they go, and what is sent where nobody says.
type sendWay struct {
	url          string
	verification genesys.Verification
	key          string
	lives        bool   // made-up lives of interactions, in the shape of Genesys Cloud's webhooks
	sample       []byte // sent where nothing else is; nil if there is none
}

// sendWay is that of the named source, or of Genesys Cloud's webhooks.
func (p *program) sendWay(cmd *cobra.Command, f *sendFlags) (sendWay, error) {
	if f.source != "" {
		return p.sourceWay(cmd, f)
	}
	key, err := p.sendSecret(f)
	return sendWay{
		url:          f.url,
		verification: genesys.Verification{Method: genesys.MethodHMAC, Header: signatureHeader},
		key:          key,
		lives:        true,
	}, err
}

// sendSecret is the key to sign with. Only this machine may be spoken to with the well-known one.
func (p *program) sendSecret(f *sendFlags) (string, error) {
	secret, _ := p.LookupEnv(f.secretEnv)
	if secret != "" {
		return secret, nil
	}
	if !isLoopback(f.url) {
		return "", fmt.Errorf("the environment variable %s, which holds the secret to sign with, is not set", f.secretEnv)
	}
	say(p.Err, "%s is not set: signing with %q, as genmesh dev does", f.secretEnv, devSecret)
	return devSecret, nil
}

func (p *program) sourceWay(cmd *cobra.Command, f *sendFlags) (sendWay, error) {
	t, err := p.topology(cmd)
	if err != nil {
		return sendWay{}, err
	}
	source, err := sourceOf(t, f.source)
	if err != nil {
		return sendWay{}, err
	}
	way := sendWay{verification: ingress.Verification(source.Verification)}
	if way.url, err = sourceURL(f.url, source.Path, cmd.Flags().Changed("url")); err != nil {
		return sendWay{}, err
	}
	if way.key, err = p.sourceKey(cmd, f, source); err != nil {
		return sendWay{}, err
	}
	way.lives = source.Preset == genesysPreset
	way.sample = presetSample(source.Preset)
	return way, nil
}

// sourceOf finds a source by its name.
func sourceOf(t *mesh.Topology, name string) (mesh.Source, error) {
	var names []string
	for _, s := range t.Sources {
		if s.Name == name {
			return s, nil
		}
		names = append(names, s.Name)
	}
	return mesh.Source{}, fmt.Errorf("streams.json has no source %q; it has %q", name, names)
}

// sourceURL is the given URL with the source's path, unless somebody wrote another.
func sourceURL(given, path string, written bool) (string, error) {
	u, err := url.Parse(given)
	if err != nil {
		return "", fmt.Errorf("--url is no URL")
	}
	if !written || u.Path == "" || u.Path == "/" {
		u.Path = path
	}
	return u.String(), nil
}

// sourceKey is the first secret of the source, or that of --secret-env.
func (p *program) sourceKey(cmd *cobra.Command, f *sendFlags, source mesh.Source) (string, error) {
	if source.Verification.JWKSURL != "" {
		return "", fmt.Errorf("only the issuer of the source %s can make a token for it", source.Name)
	}
	if cmd.Flags().Changed("secret-env") {
		return p.sendSecret(f)
	}
	lookup := p.LookupEnv
	if isLoopback(f.url) {
		lookup, _ = withDevSecret(p.LookupEnv)
	}
	key, err := source.SigningKey(lookup)
	if err != nil {
		return "", fmt.Errorf("%w; name the variable that holds a key with --secret-env", err)
	}
	return key, nil
}

// presetSample is the sample delivery of a preset in one line; nil for what is no preset.
func presetSample(name string) []byte {
	presets := genesys.Presets()
	i := slices.IndexFunc(presets, func(p genesys.Preset) bool { return p.Name == name })
	if i < 0 {
		return nil
	}
	var line bytes.Buffer
	if err := json.Compact(&line, presets[i].Sample); err != nil {
		return nil // a test sees to it that samples are JSON
	}
	return line.Bytes()
}
