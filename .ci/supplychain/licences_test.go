package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const isc = `Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted,
provided that the above copyright notice and this permission notice appear in all copies.

THE SOFTWARE IS PROVIDED "AS IS" AND THE AUTHOR DISCLAIMS ALL WARRANTIES WITH REGARD TO THIS SOFTWARE INCLUDING ALL IMPLIED
WARRANTIES OF MERCHANTABILITY AND FITNESS. IN NO EVENT SHALL THE AUTHOR BE LIABLE FOR ANY SPECIAL, DIRECT, INDIRECT, OR
CONSEQUENTIAL DAMAGES OR ANY DAMAGES WHATSOEVER RESULTING FROM LOSS OF USE, DATA OR PROFITS, WHETHER IN AN ACTION OF CONTRACT,
NEGLIGENCE OR OTHER TORTIOUS ACTION, ARISING OUT OF OR IN CONNECTION WITH THE USE OR PERFORMANCE OF THIS SOFTWARE.
`

// moduleWith makes the folder of a module that has these files, and whose package "inner" is linked.
func moduleWith(t *testing.T, files map[string]string) *linked {
	dir := t.TempDir()
	inner := filepath.Join(dir, "inner")
	require.NoError(t, os.Mkdir(inner, 0o755))
	for name, text := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, filepath.FromSlash(name)), []byte(text), 0o644))
	}
	return &linked{path: "example.com/m", version: "v1.0.0", dir: dir, folders: map[string]bool{inner: true}}
}

func TestAModuleHasTheLicencesOfItsLinkedFolders(t *testing.T) {
	gpl := "This program is free software: you can redistribute it and/or modify it under the terms of the GNU General Public License as published by " +
		"the Free Software Foundation, either version 3 of the License, or (at your option) any later version."
	for name, test := range map[string]struct {
		files   map[string]string
		ids     []string
		refused string
	}{
		"at the root":             {map[string]string{"LICENSE": isc, "NOTICE": "of no licence"}, []string{"ISC"}, ""},
		"in the folder":           {map[string]string{"inner/LICENCE.txt": isc}, []string{"ISC"}, ""},
		"one that is not allowed": {map[string]string{"LICENSE": isc, "inner/COPYING": gpl}, nil, "is not allowed"},
		"one that nobody knows":   {map[string]string{"LICENSE": "Do as I say, whenever I say it."}, nil, "known licence"},
		"none":                    {map[string]string{"README": isc}, nil, "no licence"},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := license(moduleWith(t, test.files))
			if test.refused != "" {
				assert.ErrorContains(t, err, test.refused)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, test.ids, l.ids)
		})
	}
}
