package v1alpha1

import (
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// DecodeController reads a controller's file, YAML or JSON, over into: what the file leaves out stays as it is. The error names each
// field that is unknown or given twice, or the first that has a value of the wrong type, and then into is not to be used.
func DecodeController(file []byte, into *ControllerConfiguration) error {
	return decode(file, into, &into.TypeMeta, KindController)
}

// DecodeAPIServer reads a REST API's file, as DecodeController does.
func DecodeAPIServer(file []byte, into *APIServerConfiguration) error {
	return decode(file, into, &into.TypeMeta, KindAPIServer)
}

func decode(file []byte, into any, meta *metav1.TypeMeta, kind string) error {
	*meta = metav1.TypeMeta{}
	text, err := yaml.YAMLToJSONStrict(file)
	if err != nil {
		return err
	}
	unknown, err := json.UnmarshalStrict(text, into)
	if err != nil {
		return err
	}
	want := metav1.TypeMeta{APIVersion: APIVersion, Kind: kind}
	if *meta != want {
		unknown = append(unknown, fmt.Errorf("it is of apiVersion %q and kind %q, want %s and %s", meta.APIVersion, meta.Kind, APIVersion, kind))
	}
	return errors.Join(unknown...)
}
