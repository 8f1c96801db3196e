package image

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/scrapethis/spider-operator/hack/internal/tarball"
)

func TestAnImageOfAProgramAndFiles(t *testing.T) {
	program := filepath.Join(t.TempDir(), "pause")
	if err := os.WriteFile(program, []byte("ELF"), 0o700); err != nil {
		t.Fatal(err)
	}
	img, err := Program(program)
	if err != nil {
		t.Fatal(err)
	}
	img.Files = append(img.Files, tarball.File{Path: "/pages/a/b.html", Mode: 0o644, Content: []byte("<p>")})
	var written [2][]byte
	for i := range written {
		archive := filepath.Join(t.TempDir(), "pause.tar")
		if err := Write(archive, "example.test/pause:1", img); err != nil {
			t.Fatal(err)
		}
		if written[i], err = os.ReadFile(archive); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(written[0], written[1]) {
		t.Error("the same program gives different images")
	}
	files := untar(t, written[0])
	var manifest []struct {
		Config           string
		RepoTags, Layers []string
	}
	var config struct {
		OS, Architecture string
		Config           struct{ Entrypoint []string }
		RootFS           struct {
			DiffIDs []string `json:"diff_ids"`
		}
	}
	decode(t, files["manifest.json"], &manifest)
	decode(t, files[manifest[0].Config], &config)
	layer := files[manifest[0].Layers[0]]
	if manifest[0].RepoTags[0] != "example.test/pause:1" || config.OS != "linux" || config.Architecture != runtime.GOARCH {
		t.Errorf("manifest %+v, configuration %+v", manifest, config)
	}
	if config.RootFS.DiffIDs[0] != "sha256:"+digest(layer) {
		t.Error("the configuration names another layer")
	}
	if content := untar(t, layer)["pause"]; string(content) != "ELF" || config.Config.Entrypoint[0] != "/pause" {
		t.Errorf("the image runs %v, and /pause holds %q", config.Config.Entrypoint, content)
	}
	var names []string
	for r := tar.NewReader(bytes.NewReader(layer)); ; {
		header, err := r.Next()
		if err != nil {
			break
		}
		names = append(names, header.Name)
	}
	if want := []string{"pages/", "pages/a/", "pages/a/b.html", "pause"}; !slices.Equal(names, want) {
		t.Errorf("the layer holds %q, want %q", names, want)
	}
}

func untar(t *testing.T, data []byte) map[string][]byte {
	t.Helper()
	files := make(map[string][]byte)
	for r := tar.NewReader(bytes.NewReader(data)); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[header.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

func decode(t *testing.T, data []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatalf("%v in %q", err, data)
	}
}
