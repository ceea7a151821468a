package main

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/CycloneDX/cyclonedx-go"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// release is what a document is about. committed is the time of the commit (RFC 3339), which stands in for the time of
// the build, so that the same commit gives the same document.
type release struct {
	binary, committed string
}

// completeSBOM takes what cyclonedx-gomod bin made of a binary, adds licences and time, and takes out what depends on
// the machine. It fails unless the document keeps CycloneDX's schema and names every module of the binary.
func completeSBOM(ctx context.Context, in io.Reader, out io.Writer, of release) error {
	bom := new(cyclonedx.BOM)
	if err := cyclonedx.NewBOMDecoder(in, cyclonedx.BOMFileFormatJSON).Decode(bom); err != nil {
		return fmt.Errorf("read the document: %w", err)
	}
	modules, err := licensedModules(ctx)
	if err != nil {
		return err
	}
	if err := complete(bom, modules, of); err != nil {
		return err
	}
	var document bytes.Buffer
	encoder := cyclonedx.NewBOMEncoder(&document, cyclonedx.BOMFileFormatJSON).SetPretty(true).SetEscapeHTML(false)
	if err := encoder.EncodeVersion(bom, cyclonedx.SpecVersion1_6); err != nil {
		return err
	}
	if err := errors.Join(keepsSchema(ctx, document.Bytes()), namesAll(bom, of.binary)); err != nil {
		return err
	}
	_, err = out.Write(document.Bytes())
	return err
}

func complete(bom *cyclonedx.BOM, modules []licensedModule, of release) error {
	if bom.Metadata == nil || bom.Metadata.Component == nil || bom.Components == nil {
		return errors.New("the document is not about a program")
	}
	bom.Metadata.Timestamp = of.committed
	bom.Metadata.Component.Licenses = licensesOf("Apache-2.0")
	if tools := bom.Metadata.Tools; tools != nil && tools.Tools != nil {
		for i := range *tools.Tools {
			(*tools.Tools)[i].Hashes = nil // the tool was built on this machine
		}
	}
	expressions := map[string]string{}
	for _, m := range modules {
		expressions[m.path] = m.expression()
	}
	for i := range *bom.Components {
		c := &(*bom.Components)[i]
		expression, ok := expressions[c.Name]
		if !ok {
			return fmt.Errorf("%s is in the binary, and its licence is not known", c.Name)
		}
		c.Licenses = licensesOf(expression)
	}
	return nil
}

func licensesOf(expression string) *cyclonedx.Licenses {
	if strings.Contains(expression, " ") {
		return &cyclonedx.Licenses{{Expression: expression}}
	}
	return &cyclonedx.Licenses{{License: &cyclonedx.License{ID: expression}}}
}

// keepsSchema checks against the schema of CycloneDX 1.6 that comes with the module cyclonedx-go.
func keepsSchema(ctx context.Context, document []byte) error {
	schema, err := compileSchema(ctx)
	if err != nil {
		return fmt.Errorf("read CycloneDX's schema: %w", err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

func compileSchema(ctx context.Context) (*jsonschema.Schema, error) {
	folder, err := schemaFolder(ctx)
	if err != nil {
		return nil, err
	}
	const base = "http://cyclonedx.org/schema/"
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	for name, file := range map[string]string{
		"bom-1.6.schema.json":  "bom-1.6.schema.json",
		"spdx.schema.json":     "spdx.schema.json",
		"jsf-0.82.schema.json": "jsf-0.82.schemax.json",
	} {
		if err := addSchema(compiler, base+name, filepath.Join(folder, file)); err != nil {
			return nil, err
		}
	}
	return compiler.Compile(base + "bom-1.6.schema.json")
}

func schemaFolder(ctx context.Context) (string, error) {
	here, err := os.Getwd()
	if err != nil {
		return "", err
	}
	dir, err := command(ctx, nil, "go", "-C", here, "list", "-m", "-f", "{{.Dir}}", "github.com/CycloneDX/cyclonedx-go")
	if err != nil {
		return "", err
	}
	return filepath.Join(strings.TrimSpace(string(dir)), "schema"), nil
}

func addSchema(compiler *jsonschema.Compiler, url, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return compiler.AddResource(url, value)
}

// namesAll fails if the binary's own list has a module that the document lacks, or in another version.
func namesAll(bom *cyclonedx.BOM, binary string) error {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return err
	}
	documented := map[string]string{}
	for _, c := range *bom.Components {
		documented[c.Name] = c.Version
	}
	var missing []error
	for _, m := range info.Deps {
		version := m.Version
		if m.Replace != nil {
			version = m.Replace.Version
		}
		if documented[m.Path] != version {
			missing = append(missing, fmt.Errorf("%s %s is in the binary, and the document has %q", m.Path, version, documented[m.Path]))
		}
	}
	return errors.Join(missing...)
}
