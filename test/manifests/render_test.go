package manifests

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

const (
	root     = "../.."
	chartDir = root + "/charts/spider-operator"

	release          = "spider-operator"
	releaseNamespace = "spider-operator-system"

	kindCRD = "CustomResourceDefinition"
)

// helm returns the path of Helm: what HELM names, else what the Makefile builds, else what the PATH has.
func helm(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("HELM"); path != "" {
		return path
	}
	if path := filepath.Join(root, "bin", "helm"); exists(path) {
		return path
	}
	path, err := exec.LookPath("helm")
	if err != nil {
		t.Fatal("Helm is needed to test the chart: run `make helm`, or name one in the environment variable HELM")
	}
	return path
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// render renders the chart with further arguments to `helm template`, as the release spider-operator.
func render(t *testing.T, args ...string) ([]byte, error) {
	t.Helper()
	args = append([]string{"template", release, chartDir, "--namespace", releaseNamespace}, args...)
	cmd := exec.CommandContext(t.Context(), helm(t), args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("helm %s: %w: %s", strings.Join(args, " "), err, stderr.String())
	}
	return stdout.Bytes(), nil
}

// template is render, read into objects.
func template(t *testing.T, args ...string) ([]*unstructured.Unstructured, error) {
	t.Helper()
	rendered, err := render(t, args...)
	if err != nil {
		return nil, err
	}
	return parse(t, rendered), nil
}

func mustTemplate(t *testing.T, args ...string) []*unstructured.Unstructured {
	t.Helper()
	objects, err := template(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// kustomize renders a folder of config/ and reads it into objects.
func kustomize(t *testing.T, folder string) []*unstructured.Unstructured {
	t.Helper()
	rendered, err := kustomized(filepath.Join(root, "config", folder))
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, rendered)
}

// kustomized renders a folder with a kustomization.
func kustomized(folder string) ([]byte, error) {
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		return nil, fmt.Errorf("kustomize %s: %w", folder, err)
	}
	return resources.AsYaml()
}

// parse reads a stream of YAML documents into objects, ordered by what they are.
func parse(t *testing.T, stream []byte) []*unstructured.Unstructured {
	t.Helper()
	var objects []*unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(stream), 4096)
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(&object.Object)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("reading rendered YAML: %v", err)
		}
		if len(object.Object) > 0 {
			objects = append(objects, object)
		}
	}
	sort.Slice(objects, func(i, j int) bool { return describe(objects[i]) < describe(objects[j]) })
	return objects
}

// describe names an object: kind, namespace and name.
func describe(object *unstructured.Unstructured) string {
	return strings.Join([]string{object.GetKind(), object.GetNamespace(), object.GetName()}, " ")
}

// ofKind keeps the objects of some kinds.
func ofKind(objects []*unstructured.Unstructured, kinds ...string) []*unstructured.Unstructured {
	return filter(objects, func(object *unstructured.Unstructured) bool {
		for _, kind := range kinds {
			if object.GetKind() == kind {
				return true
			}
		}
		return false
	})
}

func filter(objects []*unstructured.Unstructured, keep func(*unstructured.Unstructured) bool) []*unstructured.Unstructured {
	var kept []*unstructured.Unstructured
	for _, object := range objects {
		if keep(object) {
			kept = append(kept, object)
		}
	}
	return kept
}

// valuesFiles are the chart's examples of values, by name.
func valuesFiles(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(chartDir + "/ci/*-values.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("finding the chart's values files: %v, %d found", err, len(paths))
	}
	files := map[string]string{}
	for _, path := range paths {
		files[strings.TrimSuffix(filepath.Base(path), "-values.yaml")] = path
	}
	return files
}
