package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestManifestsTakeTheImagesWanted(t *testing.T) {
	wanted := images{spiders: "reg/scrapy:1", counter: "reg/counter:2", site: "reg/site:3"}
	files, err := filepath.Glob("manifests/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("manifests: %v, %v", files, err)
	}
	var all strings.Builder
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.WriteString(withImages(string(content), wanted, digests{site: "abc"}))
	}
	manifests := all.String()
	for _, image := range []string{wanted.spiders, wanted.counter, wanted.site} {
		if !strings.Contains(manifests, "image: "+image+"\n") {
			t.Errorf("no manifest names %s", image)
		}
	}
	for _, image := range []string{builtImages.spiders, builtImages.counter, builtImages.site} {
		if strings.Contains(manifests, image) {
			t.Errorf("a manifest still names %s", image)
		}
	}
	if !strings.Contains(manifests, digestAnnotation+`: "abc"`) {
		t.Error("the site's Deployment does not know its image's digest")
	}
}

func TestSplitReference(t *testing.T) {
	for reference, want := range map[string][2]string{
		"spider-operator:dev":        {"spider-operator", "dev"},
		"example.com:5000/team/op:1": {"example.com:5000/team/op", "1"},
		"example.com:5000/team/op":   {"example.com:5000/team/op", "latest"},
		"op":                         {"op", "latest"},
	} {
		repository, tag := splitReference(reference)
		if got := [2]string{repository, tag}; got != want {
			t.Errorf("%s: %q, want %q", reference, got, want)
		}
	}
}

// A Deployment is rolled out again only if its Pods' template changes: the same image must not, another must.
func TestPodsOfTheOperatorAreReplacedWhenItsImageChanges(t *testing.T) {
	values := func(digest string) string {
		encoded, err := json.Marshal(chartValues(builtImages, digests{operator: digest}))
		if err != nil {
			t.Fatal(err)
		}
		return string(encoded)
	}
	first, again, changed := values("a"), values("a"), values("b")
	if first != again || first == changed {
		t.Errorf("values: %s, the same image: %s, another: %s", first, again, changed)
	}
}
