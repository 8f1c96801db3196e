package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/scrapethis/spider-operator/hack/internal/checkout"
)

// project writes a small repository and returns its folder and its one image.
func project(t *testing.T) (string, projectImage) {
	t.Helper()
	root := t.TempDir()
	for name, content := range map[string]string{
		"Dockerfile":            "FROM scratch\n",
		".dockerignore":         "*\n!go.mod\n!cmd\n**/*_test.go\n",
		"go.mod":                "module m\n",
		"README.md":             "read me\n",
		"cmd/main.go":           "package main\n",
		"cmd/main_test.go":      "package main\n",
		"cmd/deep/er/file.go":   "package er\n",
		".cluster/keys/ca.key":  "secret\n",
		".cluster/cmd/main.go":  "package other\n",
		"docs/cmd/chapter.html": "<p>\n",
	} {
		write(t, filepath.Join(root, name), content)
	}
	return root, projectImage{Name: "i", Context: ".", Dockerfile: "Dockerfile"}
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestContextLeavesOutWhatDockerignoreExcludes(t *testing.T) {
	root, _ := project(t)
	got, err := contextFiles(root)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"cmd/deep/er/file.go", "cmd/main.go", "go.mod"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files of the context (-want +got):\n%s", diff)
	}
}

func TestAnImageIsRebuiltWhenAnInputChanges(t *testing.T) {
	for name, tt := range map[string]struct {
		changed string // a path; an empty content removes it
		content string
		rebuilt bool
	}{
		"nothing":     {"cmd/main.go", "package main\n", false},
		"the README":  {"README.md", "again", false},
		"a test":      {"cmd/main_test.go", "again", false},
		"a source":    {"cmd/main.go", "again", true},
		"Dockerfile":  {"Dockerfile", "FROM x\n", true},
		"a new file":  {"cmd/new.go", "package main\n", true},
		"a lost file": {"cmd/main.go", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			root, img := project(t)
			before := digest(t, root, img)
			if file := filepath.Join(root, tt.changed); tt.content == "" {
				remove(t, file)
			} else {
				write(t, file, tt.content)
			}
			if changed := digest(t, root, img) != before; changed != tt.rebuilt {
				t.Errorf("the digest changed: %v, want %v", changed, tt.rebuilt)
			}
		})
	}
}

func TestAnImageIsRebuiltWithOtherTools(t *testing.T) {
	root, img := project(t)
	if digest(t, root, img, "go1", "2") == digest(t, root, img, "go", "12") {
		t.Error("two sets of tools give one digest")
	}
}

func digest(t *testing.T, root string, img projectImage, tools ...string) string {
	t.Helper()
	d, err := inputsDigest(root, img, tools...)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func remove(t *testing.T, file string) {
	t.Helper()
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
}

// TestEveryImageHasItsDockerfileAndContext checks that what a Dockerfile copies is in its context: otherwise the build fails
// only where somebody runs it.
func TestEveryImageHasItsDockerfileAndContext(t *testing.T) {
	root, err := checkout.Root("")
	if err != nil {
		t.Fatal(err)
	}
	for _, img := range images {
		files, err := contextFiles(filepath.Join(root, img.Context))
		if err != nil || len(files) == 0 {
			t.Errorf("%s: a context of %d files, %v", img.Name, len(files), err)
		}
		dockerfile, err := os.ReadFile(filepath.Join(root, img.Dockerfile))
		if err != nil {
			t.Error(err)
		}
		if wantsDebian(string(dockerfile)) != (img.Static == nil) {
			t.Errorf("%s: it takes an operating system and is described as a static one, or the other way round", img.Name)
		}
	}
}
