package main

import (
	"strings"
	"testing"
)

const rendered = `# Source: spider-operator/templates/apiserver/deployment.yaml
apiVersion: apps/v1
kind: Deployment
metadata:
  name: api
  namespace: shop
  labels:
    app.kubernetes.io/name: spider-operator
    app.kubernetes.io/version: 1.2.3
    helm.sh/chart: spider-operator-1.2.3
spec:
  template:
    spec:
      containers:
        - name: api
          args:
            - apiserver
            - "--a=1"
`

func mustRead(t *testing.T, text string) document {
	t.Helper()
	d, err := read(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestADocumentIsReadWithoutWhatIsHelmsOwn(t *testing.T) {
	d := mustRead(t, rendered)
	if d.template != "apiserver/deployment.yaml" || d.id() != "Deployment shop/api" {
		t.Errorf("it is %s, made by %s", d.id(), d.template)
	}
	for _, own := range []string{"Source", "1.2.3"} {
		if strings.Contains(d.text, own) {
			t.Errorf("%s is left in:\n%s", own, d.text)
		}
	}
	if _, err := read("apiVersion: v1\n"); err == nil {
		t.Error("a document of no template is read")
	}
}

func TestFurtherArgumentsBecomePatchesAndNothingElseDoes(t *testing.T) {
	before := mustRead(t, rendered)
	patches, err := patchArguments(before, mustRead(t, strings.Replace(rendered, `"--a=1"`, "\"--b\"\n            - \"--a=1\"", 1)))
	if err != nil || len(patches) != 1 || patches[0] != (patch{"add", "/spec/template/spec/containers/0/args/-", "--b"}) {
		t.Errorf("patches %v, %v", patches, err)
	}
	for name, change := range map[string][2]string{
		"another value of an argument": {"--a=1", "--a=2"}, "another field": {"name: api\n          args", "name: web\n          args"},
	} {
		if patches, err := patchArguments(before, mustRead(t, strings.Replace(rendered, change[0], change[1], 1))); err == nil {
			t.Errorf("%s: patches %v", name, patches)
		}
	}
}

func TestEveryDocumentGoesIntoOneFile(t *testing.T) {
	f := folder{name: "x", files: map[string]func(document) bool{"a.yaml": of("Service")}}
	err := f.write(t.TempDir(), []document{mustRead(t, rendered)})
	if err == nil || !strings.Contains(err.Error(), "Deployment shop/api") {
		t.Errorf("a document that no file takes: %v", err)
	}
}
