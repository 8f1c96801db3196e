package v1alpha1_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"sigs.k8s.io/yaml"
)

const (
	todaysSchema = "../../config/crd/bases"
	firstSchema  = "testdata/first-schema"
)

// definitions reads the CustomResourceDefinitions in a folder, by kind.
func definitions(t *testing.T, folder string) map[string]*apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]*apiextensionsv1.CustomResourceDefinition{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		definition := &apiextensionsv1.CustomResourceDefinition{}
		if err := yaml.UnmarshalStrict(text, definition); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		found[definition.Spec.Names.Kind] = definition
	}
	if len(found) < 3 {
		t.Fatalf("%d kinds are defined in %s, want 3 or more", len(found), folder)
	}
	return found
}

// A later version can be converted to and from what is stored today: there is one version, all that is stored is described by
// its schema, and nothing in it has two forms that a Go type of another version would have to tell apart.
func TestDefinitionsCanBeConverted(t *testing.T) {
	for kind, definition := range definitions(t, todaysSchema) {
		t.Run(kind, func(t *testing.T) {
			spec := definition.Spec
			if spec.PreserveUnknownFields || spec.Conversion != nil || spec.Scope != apiextensionsv1.NamespaceScoped {
				t.Errorf("scope %s, conversion %v, unknown fields preserved: %t", spec.Scope, spec.Conversion, spec.PreserveUnknownFields)
			}
			if len(spec.Versions) != 1 || !spec.Versions[0].Served || !spec.Versions[0].Storage || spec.Versions[0].Deprecated {
				t.Fatalf("versions %+v, want one that is served and stored", spec.Versions)
			}
			version := spec.Versions[0]
			root := version.Schema.OpenAPIV3Schema
			mustBeStructural(t, root)
			if _, has := root.Properties["status"]; has != (version.Subresources != nil && version.Subresources.Status != nil) {
				t.Errorf("it has a status: %t, subresources %+v", has, version.Subresources)
			}
			if slices.Contains(root.Required, "status") {
				t.Error("nobody could make one, since the status is the controller's")
			}
			walk("", root, func(path string, schema *apiextensionsv1.JSONSchemaProps) {
				for _, problem := range obstacles(path, schema) {
					t.Errorf("%s: %s", path, problem)
				}
			})
		})
	}
}

func mustBeStructural(t *testing.T, schema *apiextensionsv1.JSONSchemaProps) {
	t.Helper()
	internal := &apiextensions.JSONSchemaProps{}
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(schema, internal, nil); err != nil {
		t.Fatal(err)
	}
	structural, err := structuralschema.NewStructural(internal)
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range structuralschema.ValidateStructural(nil, structural) {
		t.Error(problem)
	}
}

// quantityOrPort are parts of the names of Kubernetes' own amounts and ports, which have two forms in every version of its API.
var quantityOrPort = []string{".requests", ".limits", ".claims", ".divisor", ".sizeLimit", ".port", ".capacity"}

// obstacles are what stands in the way of converting the field at path.
func obstacles(path string, schema *apiextensionsv1.JSONSchemaProps) []string {
	var found []string
	if schema.XPreserveUnknownFields != nil || schema.XEmbeddedResource {
		found = append(found, "it holds what the schema does not describe")
	}
	if schema.XIntOrString && !slices.ContainsFunc(quantityOrPort, func(name string) bool { return strings.Contains(path, name) }) {
		found = append(found, "it is a number or a string, as one likes")
	}
	if schema.Nullable {
		found = append(found, "null is not told from absent")
	}
	if schema.Default != nil && !strings.Contains(path, ".pod.") && !slices.Contains(defaults, path) {
		found = append(found, "it has a default, which is stored as if somebody had said it")
	}
	switch schema.Type {
	case "array":
		kubernetesOwn := strings.HasSuffix(path, ".metadata.finalizers") // of a volume claim's template, which may name none
		if schema.XListType == nil && !kubernetesOwn || schema.Items == nil || schema.Items.Schema == nil {
			found = append(found, "it does not say how entries of the list are told apart, or what they are")
		}
	case "object":
		if (len(schema.Properties) == 0) == (schema.AdditionalProperties == nil) && path != ".metadata" {
			found = append(found, "it is neither a struct nor a map")
		}
	case "integer":
		if schema.Format != "int32" && schema.Format != "int64" {
			found = append(found, fmt.Sprintf("it is an integer of the format %q", schema.Format))
		}
	case "number":
		found = append(found, "it is a fraction, which is not kept exactly")
	case "", "string", "boolean":
	default:
		found = append(found, "it is a "+schema.Type)
	}
	return found
}

// defaults are the fields that are written where nobody has said anything: an empty spec, the phase Pending of what is new, a
// name that Kubernetes' own type gives, and what kubectl's columns show of a schedule. Nothing that a later version might want to
// mean otherwise.
var defaults = []string{".spec", ".status", ".spec.imagePullSecrets[].name", ".spec.timeZone", ".spec.suspend"}

// walk visits every schema within another by its path, as in .spec.pod.env[].name.
func walk(path string, schema *apiextensionsv1.JSONSchemaProps, visit func(string, *apiextensionsv1.JSONSchemaProps)) {
	visit(path, schema)
	for name := range schema.Properties {
		property := schema.Properties[name]
		walk(path+"."+name, &property, visit)
	}
	if schema.Items != nil && schema.Items.Schema != nil {
		walk(path+"[]", schema.Items.Schema, visit)
	}
	if schema.AdditionalProperties != nil && schema.AdditionalProperties.Schema != nil {
		walk(path+"{}", schema.AdditionalProperties.Schema, visit)
	}
}

// What the first schema could store, today's can say: no field of it is gone, of another type, or kept otherwise in lists; none
// has become required, and no value of a closed set is gone.
func TestDefinitionsKeepWhatWasStored(t *testing.T) {
	today := definitions(t, todaysSchema)
	for kind, first := range definitions(t, firstSchema) {
		t.Run(kind, func(t *testing.T) {
			then, now := first.Spec.Versions[0], today[kind].Spec.Versions[0]
			if then.Name != now.Name {
				t.Fatalf("the version %s is %s now", then.Name, now.Name)
			}
			fields := map[string]apiextensionsv1.JSONSchemaProps{}
			walk("", now.Schema.OpenAPIV3Schema, func(path string, schema *apiextensionsv1.JSONSchemaProps) { fields[path] = *schema })
			walk("", then.Schema.OpenAPIV3Schema, func(path string, was *apiextensionsv1.JSONSchemaProps) {
				is, found := fields[path]
				if !found {
					t.Errorf("%s is gone", path)
					return
				}
				for _, lost := range losses(was, &is) {
					t.Errorf("%s: %s", path, lost)
				}
			})
			for _, column := range then.SelectableFields {
				if !slices.Contains(now.SelectableFields, column) {
					t.Errorf("nothing can be selected by %s any more", column.JSONPath)
				}
			}
		})
	}
}

// losses are what a field could be and cannot be any more.
func losses(was, is *apiextensionsv1.JSONSchemaProps) []string {
	var lost []string
	if was.Type != is.Type || was.Format != is.Format || was.XIntOrString != is.XIntOrString {
		lost = append(lost, fmt.Sprintf("it was a %s %s and is a %s %s", was.Type, was.Format, is.Type, is.Format))
	}
	for _, name := range is.Required {
		if !slices.Contains(was.Required, name) {
			lost = append(lost, name+" is required, and was not")
		}
	}
	for _, value := range was.Enum {
		if !slices.ContainsFunc(is.Enum, func(v apiextensionsv1.JSON) bool { return bytes.Equal(v.Raw, value.Raw) }) {
			lost = append(lost, "it cannot be "+string(value.Raw)+" any more")
		}
	}
	if was.Enum == nil && is.Enum != nil {
		lost = append(lost, "it is of a closed set, and was not")
	}
	if !equal(was.XListType, is.XListType) || !slices.Equal(was.XListMapKeys, is.XListMapKeys) {
		lost = append(lost, "entries of the list are told apart otherwise")
	}
	for bound, pair := range map[string][2]*int64{
		"longest":      {was.MaxLength, is.MaxLength},
		"most entries": {was.MaxItems, is.MaxItems},
		"most names":   {was.MaxProperties, is.MaxProperties},
	} {
		if pair[1] != nil && (pair[0] == nil || *pair[1] < *pair[0]) {
			lost = append(lost, bound+": less than it was")
		}
	}
	return lost
}

func equal[T comparable](a, b *T) bool { return a == b || a != nil && b != nil && *a == *b }
