package manifests

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// schema is a JSON Schema, or a part of one, or what it is made from.
type schema = map[string]any

const (
	definitionPrefix = "#/definitions/"
	objectMeta       = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
	quantity         = "io.k8s.apimachinery.pkg.api.resource.Quantity"
)

// definitions are the types of one version of Kubernetes, by their names, made strict.
type definitions map[string]schema

// makeSchemas makes the schemas of a version of Kubernetes, of the other projects and, from the project's folder root, ours. They
// are in a new folder, in kubeconform's layout.
func makeSchemas(ctx context.Context, root, folder string, version module) error {
	folder = filepath.Join(folder, version.version+"-standalone-strict")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	source, err := download(ctx, version)
	if err != nil {
		return err
	}
	openAPI, err := os.ReadFile(filepath.Join(source, "api", "openapi-spec", "swagger.json"))
	if err != nil {
		return err
	}
	types, err := readDefinitions(openAPI)
	if err != nil {
		return err
	}
	if err := types.add(folder); err != nil {
		return err
	}
	for _, other := range others {
		source, err := download(ctx, other.module)
		if err != nil {
			return err
		}
		for _, crd := range other.crds {
			if err := types.addCustom(folder, filepath.Join(source, crd)); err != nil {
				return err
			}
		}
	}
	ours, err := filepath.Glob(filepath.Join(root, "config", "crd", "bases", "*.yaml"))
	if err != nil {
		return err
	}
	for _, crd := range ours {
		if err := types.addCustom(folder, crd); err != nil {
			return err
		}
	}
	return nil
}

// readDefinitions reads the types out of Kubernetes' OpenAPI document.
func readDefinitions(openAPI []byte) (definitions, error) {
	var document struct{ Definitions definitions }
	if err := json.Unmarshal(openAPI, &document); err != nil {
		return nil, fmt.Errorf("read the OpenAPI document: %w", err)
	}
	if document.Definitions[objectMeta] == nil {
		return nil, fmt.Errorf("the OpenAPI document does not define %s", objectMeta)
	}
	for name, definition := range document.Definitions {
		makeStrict(definition)
		if name == quantity {
			definition["type"] = []any{"string", "number"}
		}
	}
	return document.Definitions, nil
}

// makeStrict turns a schema of OpenAPI 2 or 3, as Kubernetes writes them, into a JSON Schema that refuses unknown fields. A type
// of which no field is known (an object as it comes, or one without fields) stays open.
func makeStrict(s schema) {
	if format := s["format"]; format == "int-or-string" || s["x-kubernetes-int-or-string"] == true {
		s["type"] = []any{"string", "integer"}
		delete(s, "format")
		delete(s, "anyOf") // says the same
	}
	if kind, ok := s["type"].(string); ok && s["nullable"] == true {
		s["type"] = []any{kind, "null"}
	}
	delete(s, "description")
	properties, _ := s["properties"].(map[string]any)
	if properties != nil && s["additionalProperties"] == nil && s["x-kubernetes-preserve-unknown-fields"] != true {
		s["additionalProperties"] = false
	}
	for _, property := range properties {
		makeStrict(property.(schema))
	}
	for _, key := range []string{"items", "additionalProperties"} {
		if inner, ok := s[key].(schema); ok {
			makeStrict(inner)
		}
	}
}

// add writes the schemas of all kinds of objects that Kubernetes has into a folder. Lists and options are none.
func (d definitions) add(folder string) error {
	for _, name := range slices.Sorted(maps.Keys(d)) {
		kinds, _ := d[name]["x-kubernetes-group-version-kind"].([]any)
		properties, _ := d[name]["properties"].(map[string]any)
		metadata, _ := properties["metadata"].(schema)
		if len(kinds) != 1 || metadata["$ref"] != definitionPrefix+objectMeta {
			continue
		}
		kind := kinds[0].(map[string]any)
		group, version, kindName := kind["group"].(string), kind["version"].(string), kind["kind"].(string)
		err := d.write(folder, group, version, kindName, schema{"$ref": definitionPrefix + name})
		if err != nil {
			return err
		}
	}
	return nil
}

// addCustom writes the schemas of the kind that a CustomResourceDefinition defines.
func (d definitions) addCustom(folder, path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var crd struct {
		Spec struct {
			Group    string
			Names    struct{ Kind string }
			Versions []struct {
				Name   string
				Schema struct{ OpenAPIV3Schema schema }
			}
		}
	}
	if err := yaml.Unmarshal(content, &crd); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	for _, version := range crd.Spec.Versions {
		root := version.Schema.OpenAPIV3Schema
		properties, _ := root["properties"].(map[string]any)
		if properties == nil {
			return fmt.Errorf("%s has no schema for %s", path, version.Name)
		}
		makeStrict(root)
		properties["metadata"] = schema{"$ref": definitionPrefix + objectMeta}
		if err := d.write(folder, crd.Spec.Group, version.Name, crd.Spec.Names.Kind, root); err != nil {
			return err
		}
	}
	return nil
}

// write writes the schema of a kind, with all definitions that it refers to, under the name that kubeconform looks for.
func (d definitions) write(folder, group, version, kind string, root schema) error {
	used := definitions{}
	d.follow(root, used)
	document := maps.Clone(root)
	document["definitions"] = used
	encoded, err := json.Marshal(document)
	if err != nil {
		return fmt.Errorf("write the schema of %s: %w", kind, err)
	}
	name := kind
	if group != "" {
		firstLabel, _, _ := strings.Cut(group, ".")
		name += "-" + firstLabel
	}
	return os.WriteFile(filepath.Join(folder, strings.ToLower(name+"-"+version)+".json"), encoded, 0o600)
}

// follow collects the definitions that a part of a schema refers to.
func (d definitions) follow(part any, used definitions) {
	switch part := part.(type) {
	case map[string]any:
		if reference, ok := part["$ref"].(string); ok {
			name := strings.TrimPrefix(reference, definitionPrefix)
			if used[name] == nil {
				used[name] = d[name]
				d.follow(d[name], used)
			}
		}
		for _, value := range part {
			d.follow(value, used)
		}
	case []any:
		for _, value := range part {
			d.follow(value, used)
		}
	}
}
