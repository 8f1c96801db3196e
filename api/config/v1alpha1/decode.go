package v1alpha1

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"
)

// DecodeController reads a controller's file, YAML or JSON, over into: what the file leaves out stays as it is. The error names
// every field that is unknown, given twice or wrong, a line each; into is then not to be used.
func DecodeController(file []byte, into *ControllerConfiguration) error {
	return join(decode(file, into, &into.TypeMeta, KindController), into.Validate)
}

// DecodeAPIServer reads a REST API's file, as DecodeController does.
func DecodeAPIServer(file []byte, into *APIServerConfiguration) error {
	return join(decode(file, into, &into.TypeMeta, KindAPIServer), into.Validate)
}

// join returns the problems of a file. If there are any, it adds what else is wrong with the values that could be read.
func join(problems []error, validate func() field.ErrorList) error {
	if len(problems) > 0 {
		for _, problem := range validate() {
			problems = append(problems, problem)
		}
	}
	return errors.Join(problems...)
}

func decode(file []byte, into any, meta *metav1.TypeMeta, kind string) (problems []error) {
	*meta = metav1.TypeMeta{}
	text, err := yaml.YAMLToJSONStrict(file)
	if err != nil {
		problems = append(problems, err)
		if text, err = yaml.YAMLToJSON(file); err != nil { // It is not that a key is given twice.
			return problems
		}
	}
	problems = append(problems, fill(nil, reflect.ValueOf(into).Elem(), text)...)
	if meta.APIVersion != APIVersion {
		problems = append(problems, field.NotSupported(field.NewPath("apiVersion"), meta.APIVersion, []string{APIVersion}))
	}
	if meta.Kind != kind {
		problems = append(problems, field.NotSupported(field.NewPath("kind"), meta.Kind, []string{kind}))
	}
	return problems
}

// fill reads JSON into a value, member by member, so that one that is wrong does not hide others. What is null is left out.
func fill(path *field.Path, into reflect.Value, text json.RawMessage) []error {
	if string(text) == "null" {
		return nil
	}
	if _, itself := into.Addr().Interface().(json.Unmarshaler); !itself {
		switch into.Kind() { //nolint:exhaustive // The others have no members.
		case reflect.Pointer:
			into.Set(reflect.New(into.Type().Elem()))
			return fill(path, into.Elem(), text)
		case reflect.Struct:
			return fillStruct(path, into, text)
		case reflect.Map:
			return fillMap(path, into, text)
		case reflect.Slice:
			return fillSlice(path, into, text)
		}
	}
	return read(path, text, into.Addr().Interface())
}

func fillStruct(path *field.Path, into reflect.Value, text json.RawMessage) (problems []error) {
	var members map[string]json.RawMessage
	if problems := read(path, text, &members); problems != nil {
		return problems
	}
	known := fieldsOf(into)
	for _, name := range slices.Sorted(maps.Keys(members)) {
		at := path.Child(name)
		if value, found := known[name]; found {
			problems = append(problems, fill(at, value, members[name])...)
		} else {
			problems = append(problems, fmt.Errorf("unknown field %q", at.String()))
		}
	}
	return problems
}

// fieldsOf returns the fields of a struct by their names in JSON.
func fieldsOf(structure reflect.Value) map[string]reflect.Value {
	fields := map[string]reflect.Value{}
	for i := range structure.NumField() {
		if structure.Type().Field(i).Anonymous {
			maps.Copy(fields, fieldsOf(structure.Field(i)))
			continue
		}
		name, _, _ := strings.Cut(structure.Type().Field(i).Tag.Get("json"), ",")
		fields[name] = structure.Field(i)
	}
	return fields
}

func fillMap(path *field.Path, into reflect.Value, text json.RawMessage) (problems []error) {
	var members map[string]json.RawMessage
	if problems := read(path, text, &members); problems != nil {
		return problems
	}
	into.Set(reflect.MakeMap(into.Type()))
	for _, name := range slices.Sorted(maps.Keys(members)) {
		value := reflect.New(into.Type().Elem()).Elem()
		problems = append(problems, fill(path.Key(name), value, members[name])...)
		into.SetMapIndex(reflect.ValueOf(name), value)
	}
	return problems
}

func fillSlice(path *field.Path, into reflect.Value, text json.RawMessage) (problems []error) {
	var items []json.RawMessage
	if problems := read(path, text, &items); problems != nil {
		return problems
	}
	into.Set(reflect.MakeSlice(into.Type(), len(items), len(items)))
	for i, item := range items {
		problems = append(problems, fill(path.Index(i), into.Index(i), item)...)
	}
	return problems
}

// read reads JSON as a whole.
func read(path *field.Path, text json.RawMessage, into any) []error {
	err := json.Unmarshal(text, into)
	if err == nil {
		return nil
	}
	says := strings.TrimPrefix(err.Error(), "json: ")
	if _, wrong := errors.AsType[*json.UnmarshalTypeError](err); wrong {
		says = "must be " + forms[reflect.TypeOf(into).Elem().Kind()]
	}
	if path == nil {
		return []error{errors.New("the file " + says)}
	}
	return []error{field.Invalid(path, text, says)}
}

// forms are the forms of values in a file.
var forms = map[reflect.Kind]string{
	reflect.Bool:    "true or false",
	reflect.Float64: "a number",
	reflect.Int:     "an integer",
	reflect.Int32:   "an integer",
	reflect.Int64:   "an integer",
	reflect.Map:     "an object",
	reflect.Slice:   "a list",
	reflect.String:  "a string",
	reflect.Struct:  "a string",
}
