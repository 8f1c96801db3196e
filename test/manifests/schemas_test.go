package manifests

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/yannh/kubeconform/pkg/validator"
)

// TestAllManifestsAreValid checks that everything that the chart and config/ install is valid in every version of Kubernetes
// that they are for, and has no field which that version does not know. No kind is left out: those of cert-manager, of the
// Prometheus operator and our own are compared with their CustomResourceDefinitions.
func TestAllManifestsAreValid(t *testing.T) {
	configs := configManifests(t)
	for _, version := range kubernetes {
		t.Run(version.version, func(t *testing.T) {
			check := newValidator(t, version)
			objects := 0
			for name, manifests := range configs {
				objects += check(t, name, manifests)
			}
			for _, values := range valuesFiles(t) {
				rendered, err := render(t, "--kube-version", version.version, "--values", values)
				if err != nil {
					t.Fatal(err)
				}
				objects += check(t, filepath.Base(values), rendered)
			}
			t.Logf("Kubernetes %s: %d objects are valid", version.version, objects)
		})
	}
}

// TestWrongManifestsAreRefused checks the check: one that refuses nothing would prove nothing.
func TestWrongManifestsAreRefused(t *testing.T) {
	const oldest, newest = 0, -1
	for name, test := range map[string]struct {
		version         int
		manifest, names string // names is in what is said; empty if nothing is wrong
	}{
		"an unknown field":             {oldest, "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {porst: []}}", "porst"},
		"an unknown field, deep down":  {newest, deployment, "readOnlyRootFileSystem"},
		"an unknown field of metadata": {newest, "{apiVersion: v1, kind: Service, metadata: {name: a, label: {}}}", "label"},
		"a field given twice":          {newest, "apiVersion: v1\nkind: Service\nmetadata:\n  name: a\n  name: b\n", "name"},
		"a missing field": {newest,
			"{apiVersion: apps/v1, kind: Deployment, metadata: {name: a}, spec: {replicas: 1}}", "selector"},
		"a value of another type": {newest,
			"{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {ports: [{port: many}]}}", "integer"},
		"a kind that is gone": {oldest, "{apiVersion: policy/v1beta1, kind: PodDisruptionBudget, metadata: {name: a}}",
			"could not find schema"},
		"an unknown kind": {newest, "{apiVersion: example.org/v1, kind: Wish, metadata: {name: a}}",
			"could not find schema"},
		"a field of a later version": {oldest, hostnameOverride, "hostnameOverride"},
		"the same, in the version":   {newest, hostnameOverride, ""},
		"ours, with an unknown field": {newest,
			"{apiVersion: scrapethis.app/v1alpha1, kind: SpiderJob, metadata: {name: a}, spec: {spider: a}}", "spider"},
		"ours, with unknown metadata": {newest,
			"{apiVersion: scrapethis.app/v1alpha1, kind: Spider, metadata: {nam: a}, spec: {image: a}}", "nam"},
		"cert-manager's, wrong": {newest,
			"{apiVersion: cert-manager.io/v1, kind: Certificate, metadata: {name: a}, spec: {secret: a}}", "secret"},
		"the Prometheus operator's too": {newest,
			"{apiVersion: monitoring.coreos.com/v1, kind: ServiceMonitor, metadata: {name: a}, spec: {ports: []}}", "ports"},
	} {
		t.Run(name, func(t *testing.T) {
			version := kubernetes[0]
			if test.version == newest {
				version = kubernetes[len(kubernetes)-1]
			}
			wrong, _ := validate(t, schemas(t, version), version, name, []byte(test.manifest))
			said := strings.Join(wrong, "\n")
			if (said == "") != (test.names == "") || !strings.Contains(said, test.names) {
				t.Errorf("said %q, want something with %q", said, test.names)
			}
		})
	}
}

const deployment = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: a}, spec: {selector: {}, template: " +
	"{spec: {containers: [{name: a, securityContext: {readOnlyRootFileSystem: true}}]}}}}"

// hostnameOverride came with Kubernetes 1.34.
const hostnameOverride = "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: a}], hostnameOverride: b}}"

func TestOldestAndNewestVersionsAreThoseOfChartAndTests(t *testing.T) {
	wanted := func(path, pattern string) string {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		match := regexp.MustCompile(pattern).FindSubmatch(content)
		if match == nil {
			t.Fatalf("%s has nothing like %s", path, pattern)
		}
		return string(match[1])
	}
	minor := func(version string) string { return strings.Join(strings.SplitN(version, ".", 3)[:2], ".") }
	oldest := wanted(chartDir+"/Chart.yaml", `(?m)^kubeVersion: ">=(\d+\.\d+)\.0-0"$`)
	if minor(kubernetes[0].version) != "v"+oldest {
		t.Errorf("the oldest version here is %s, and the chart wants %s", kubernetes[0].version, oldest)
	}
	newest := wanted(root+"/hack/kubernetes/go.mod", `\sk8s\.io/kubernetes (v\d+\.\d+\.\d+)\s`)
	if kubernetes[len(kubernetes)-1].version != newest {
		t.Errorf("the newest version here is %s, and the local cluster runs %s", kubernetes[len(kubernetes)-1].version, newest)
	}
	if _, err := render(t, "--kube-version", "v1.31.0"); err == nil || !strings.Contains(err.Error(), "kubeVersion") {
		t.Errorf("the chart in Kubernetes 1.31: %v", err)
	}
}

func TestAModuleWithAnotherSumIsRefused(t *testing.T) {
	changed := kubernetes[len(kubernetes)-1]
	changed.sum = "h1:5TGYdZ6YZqdp6h/Rp1vX/4TIoybMPdgv97LCZCtPuNQ="
	if _, err := download(t.Context(), changed); err == nil || !strings.Contains(err.Error(), changed.sum) {
		t.Errorf("error %v, want one with the sum", err)
	}
}

// made are the folders of schemas that are made already, by version.
var made = map[module]string{}

// schemas returns the folder with the schemas of a version, in kubeconform's layout.
func schemas(t *testing.T, version module) string {
	t.Helper()
	if made[version] != "" {
		return made[version]
	}
	folder := filepath.Join(scratch, version.version)
	if err := makeSchemas(t.Context(), root, folder, version); err != nil {
		t.Fatal(err)
	}
	made[version] = folder
	return folder
}

// scratch is removed when all tests have run.
var scratch string

func TestMain(m *testing.M) {
	var err error
	if scratch, err = os.MkdirTemp("", "schemas"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err := os.RemoveAll(scratch); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// newValidator returns a function that fails the test for every object that is wrong and returns how many it saw.
func newValidator(t *testing.T, version module) func(t *testing.T, name string, manifests []byte) int {
	t.Helper()
	folder := schemas(t, version)
	return func(t *testing.T, name string, manifests []byte) int {
		t.Helper()
		wrong, objects := validate(t, folder, version, name, manifests)
		for _, complaint := range wrong {
			t.Error(complaint)
		}
		if objects == 0 {
			t.Errorf("%s: there is nothing in it", name)
		}
		return objects
	}
}

// validate returns what is wrong with a stream of manifests, and how many objects are in it.
func validate(t *testing.T, folder string, version module, name string, manifests []byte) (wrong []string, objects int) {
	t.Helper()
	check, err := validator.New([]string{folder}, validator.Opts{
		KubernetesVersion: strings.TrimPrefix(version.version, "v"), Strict: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, result := range check.ValidateWithContext(t.Context(), name, io.NopCloser(bytes.NewReader(manifests))) {
		if result.Status == validator.Empty {
			continue
		}
		objects++
		if result.Status != validator.Valid {
			description := "an object"
			if signature, err := result.Resource.Signature(); err == nil {
				description = signature.Kind + " " + signature.Name
			}
			wrong = append(wrong, fmt.Sprintf("%s: %s: %v", name, description, result.Err))
		}
	}
	return wrong, objects
}

// configManifests are the kustomizations and the samples of config/, by their path in it.
func configManifests(t *testing.T) map[string][]byte {
	t.Helper()
	config := filepath.Join(root, "config")
	manifests := map[string][]byte{}
	err := filepath.WalkDir(config, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		switch {
		case entry.Name() == "kustomization.yaml":
			manifests[filepath.Dir(path)], err = kustomized(filepath.Dir(path))
		case !entry.IsDir() && strings.Contains(path, "/samples/"):
			manifests[path], err = os.ReadFile(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, wanted := range []string{"default", "crd", "samples/scrapethis_v1alpha1_spider.yaml"} {
		if manifests[filepath.Join(config, wanted)] == nil {
			t.Errorf("config/%s was not found", wanted)
		}
	}
	return manifests
}
