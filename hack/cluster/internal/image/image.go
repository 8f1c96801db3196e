// Package image writes the simplest possible container image: one static program.
package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
)

// WriteProgram writes a docker archive, as `docker save` makes it, of an image that holds nothing but the static program
// and runs it. The same program gives the same bytes.
func WriteProgram(w io.Writer, reference, program string) error {
	content, err := os.ReadFile(program)
	if err != nil {
		return fmt.Errorf("making image %s: %w", reference, err)
	}
	entry := "/" + filepath.Base(program)
	var layer bytes.Buffer
	if err := writeTar(&layer, file{entry[1:], 0o755, content}); err != nil {
		return fmt.Errorf("making the layer of image %s: %w", reference, err)
	}
	config, err := json.Marshal(map[string]any{
		// containerd ignores, on import, an image that does not say it is for this platform.
		"os":           "linux",
		"architecture": runtime.GOARCH,
		"config":       map[string]any{"Entrypoint": []string{entry}, "User": "65535:65535"},
		"rootfs":       map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + digest(layer.Bytes())}},
	})
	if err != nil {
		return fmt.Errorf("encoding the configuration of image %s: %w", reference, err)
	}
	configName, layerName := digest(config)+".json", digest(layer.Bytes())+".tar"
	manifest, err := json.Marshal([]map[string]any{{
		"Config": configName, "RepoTags": []string{reference}, "Layers": []string{layerName},
	}})
	if err != nil {
		return fmt.Errorf("encoding the manifest of image %s: %w", reference, err)
	}
	err = writeTar(w, file{layerName, 0o644, layer.Bytes()}, file{configName, 0o644, config}, file{"manifest.json", 0o644, manifest})
	if err != nil {
		return fmt.Errorf("writing image %s: %w", reference, err)
	}
	return nil
}

type file struct {
	name    string
	mode    int64
	content []byte
}

func writeTar(w io.Writer, files ...file) error {
	t := tar.NewWriter(w)
	for _, f := range files {
		if err := t.WriteHeader(&tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.content))}); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		if _, err := t.Write(f.content); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return t.Close()
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
