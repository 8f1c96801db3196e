package main

import (
	"bytes"
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"path"
	"runtime/debug"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/package-url/packageurl-go"
)

// billOfMaterials lists, in CycloneDX's JSON, every module that is in a binary, as the binary itself says, and what it embeds.
// The licences are those of components. Nothing in it says when or where it was made.
func billOfMaterials(binary []byte, version string, components []component) ([]byte, error) {
	info, err := buildinfo.Read(bytes.NewReader(binary))
	if err != nil {
		return nil, err
	}
	parts := map[string]component{}
	var listed []cdx.Component
	for _, c := range components {
		parts[c.name] = c
		if !c.module { // All that the scripts update.sh fetch is npm's.
			listed = append(listed, cdxComponent(c, packageurl.TypeNPM, ""))
		}
	}
	standard := &debug.Module{Path: standardLibrary, Version: info.GoVersion}
	for _, module := range append([]*debug.Module{standard}, info.Deps...) {
		if module.Replace != nil {
			module = module.Replace
		}
		c, ok := parts[module.Path]
		if !ok || c.version != module.Version {
			return nil, fmt.Errorf("the licence of %s %s, which is in the binary, is not known", module.Path, module.Version)
		}
		listed = append(listed, cdxComponent(c, packageurl.TypeGolang, module.Sum))
	}

	bom := cdx.NewBOM()
	ours := component{name: info.Main.Path, version: version, licences: []string{"Apache-2.0"}}
	main := cdxComponent(ours, packageurl.TypeGolang, "")
	main.Type = cdx.ComponentTypeApplication
	main.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: hexSum(binary)}}
	bom.Metadata = &cdx.Metadata{Component: &main, Properties: settings(info)}
	bom.Components = &listed
	var out bytes.Buffer
	if err := cdx.NewBOMEncoder(&out, cdx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bom, cdx.SpecVersion1_6); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// cdxComponent describes a part. sum is a module's, as go.sum has it, or empty.
func cdxComponent(c component, kind, sum string) cdx.Component {
	namespace, name := path.Split(c.name)
	url := packageurl.NewPackageURL(kind, strings.TrimSuffix(namespace, "/"), name, c.version, nil, "").ToString()
	described := cdx.Component{
		BOMRef: url, Type: cdx.ComponentTypeLibrary, Name: c.name, Version: c.version, PackageURL: url, Licenses: &cdx.Licenses{},
	}
	for _, licence := range c.licences {
		*described.Licenses = append(*described.Licenses, cdx.LicenseChoice{License: &cdx.License{ID: licence}})
	}
	// go.sum's sums are SHA-256 over the sums of a module's files.
	if encoded, ok := strings.CutPrefix(sum, "h1:"); ok {
		if decoded, err := base64.StdEncoding.DecodeString(encoded); err == nil {
			described.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: hex.EncodeToString(decoded)}}
		}
	}
	return described
}

// settings are those that a binary was built with.
func settings(info *buildinfo.BuildInfo) *[]cdx.Property {
	properties := []cdx.Property{{Name: "go:version", Value: info.GoVersion}}
	for _, setting := range info.Settings {
		properties = append(properties, cdx.Property{Name: "go:build:" + setting.Key, Value: setting.Value})
	}
	return &properties
}
