package pages

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"mime"
	"net/http"
	"path"
	"strings"
)

//go:embed assets/*
var assetFiles embed.FS

// assets are the style sheet, the script and the icon, by their address. Each address has the hash of the content in it, so that
// browsers keep it for good.
type assets map[string]asset

type asset struct {
	content []byte
	kind    string
}

const assetHashBytes = 8

func loadAssets() (assets, error) {
	entries, err := assetFiles.ReadDir("assets")
	if err != nil {
		return nil, fmt.Errorf("assets: %w", err)
	}
	all := assets{}
	for _, entry := range entries {
		content, err := assetFiles.ReadFile("assets/" + entry.Name())
		if err != nil {
			return nil, fmt.Errorf("assets: %w", err)
		}
		hash := sha256.Sum256(content)
		name, extension, _ := strings.Cut(entry.Name(), ".")
		address := "/assets/" + name + "." + hex.EncodeToString(hash[:assetHashBytes]) + "." + extension
		all[address] = asset{content: content, kind: mime.TypeByExtension("." + extension)}
	}
	return all, nil
}

// address is where an asset is served, by its file's name.
func (a assets) address(file string) (string, error) {
	name, extension, _ := strings.Cut(file, ".")
	for address := range a {
		if strings.HasPrefix(address, "/assets/"+name+".") && path.Ext(address) == "."+extension {
			return address, nil
		}
	}
	return "", fmt.Errorf("there is no asset %s", file)
}

// ServeHTTP serves them to anybody: nothing in them is secret.
func (a assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	one, ok := a[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", one.kind)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	_, _ = w.Write(one.content) // the browser is gone, or it is not
}
