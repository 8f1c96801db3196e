package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/scrapethis/spider-operator/hack/internal/checkout"
	"github.com/scrapethis/spider-operator/hack/internal/image"
)

// TestStaticImagesAreWhatTheirDockerfilesSay compares what is written directly with the Dockerfile, which docker build reads.
func TestStaticImagesAreWhatTheirDockerfilesSay(t *testing.T) {
	root, err := checkout.Root("")
	if err != nil {
		t.Fatal(err)
	}
	for _, img := range images {
		if img.Static == nil {
			continue
		}
		t.Run(img.Name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join(root, img.Dockerfile))
			if err != nil {
				t.Fatal(err)
			}
			said := finalStage(t, string(text))
			if diff := cmp.Diff(said.config, img.Static.Config); diff != "" {
				t.Errorf("(-%s +image.go):\n%s", img.Dockerfile, diff)
			}
			flags := strings.TrimPrefix(img.Static.program(root).Flags[1], "-ldflags=")
			compile := `CGO_ENABLED=0 go build -trimpath -ldflags="` + flags + `" -o `
			if command := strings.ReplaceAll(string(text), "${VERSION}", "dev"); !strings.Contains(command, compile) {
				t.Errorf("%s has no %s", img.Dockerfile, compile)
			}
			want := []string{img.Static.Path + " " + img.Static.Path}
			if img.Static.Generate != "" {
				want = []string{"/out / with " + img.Static.Path + " and " + img.Static.Generate}
				if strings.Contains(string(text), "-o /out"+img.Static.Path) &&
					strings.Contains(string(text), "&& /out"+img.Static.Path+" generate /out"+img.Static.Generate) {
					said.copies = slices.DeleteFunc(said.copies, func(c string) bool { return c == "/out /" })
					said.copies = append(said.copies, want...)
				}
			}
			if diff := cmp.Diff(want, said.copies); diff != "" {
				t.Errorf("what is in the image (-image.go +%s):\n%s", img.Dockerfile, diff)
			}
		})
	}
}

type stage struct {
	config image.Image
	copies []string // "source target" of each COPY from the stage before
}

// finalStage reads the last stage of a Dockerfile. An instruction that it does not know fails the test.
func finalStage(t *testing.T, dockerfile string) stage {
	t.Helper()
	var said stage
	lines := strings.Split(dockerfile, "\n")
	last := 0
	for i, line := range lines {
		if strings.HasPrefix(line, "FROM ") {
			last = i
		}
	}
	if from := lines[last]; from != "FROM scratch" &&
		(from != "FROM ${BASE_IMAGE}" || !slices.Contains(lines, "ARG BASE_IMAGE=scratch")) {
		t.Errorf("the last stage begins with %q: want nothing beneath it", from)
	}
	for _, line := range lines[last+1:] {
		instruction, rest, _ := strings.Cut(line, " ")
		switch instruction {
		case "":
		case "COPY":
			said.copies = append(said.copies, strings.TrimPrefix(rest, "--from=build "))
		case "USER":
			said.config.User = rest
		case "EXPOSE":
			said.config.Ports = append(said.config.Ports, rest+"/tcp")
		case "ENTRYPOINT":
			decode(t, rest, &said.config.Entrypoint)
		case "CMD":
			decode(t, rest, &said.config.Cmd)
		default:
			t.Errorf("%q is not known here: image.go must do the same", line)
		}
	}
	return said
}

func decode(t *testing.T, list string, into *[]string) {
	t.Helper()
	if err := json.Unmarshal([]byte(list), into); err != nil {
		t.Errorf("%s: %v", list, err)
	}
}
