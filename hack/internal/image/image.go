// Package image writes container images that hold static programs and other files, without a tool for images.
package image

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/scrapethis/spider-operator/hack/internal/files"
	"github.com/scrapethis/spider-operator/hack/internal/tarball"
)

// Image is what an image of one layer holds and how it is run.
type Image struct {
	// Files are its files, by absolute paths.
	Files []tarball.File
	// User is the user, and after a colon the group, that the process runs as, by numbers.
	User string
	// Entrypoint and Cmd are the process and its default arguments.
	Entrypoint, Cmd []string
	// Ports are those that the process serves, as in 8080/tcp. They are for readers: nothing depends on them.
	Ports []string
}

// Program returns an image that holds nothing but a static program of this machine, which it runs as a user without rights.
func Program(program string) (Image, error) {
	content, err := os.ReadFile(program)
	if err != nil {
		return Image{}, fmt.Errorf("make an image of a program: %w", err)
	}
	entry := "/" + filepath.Base(program)
	return Image{
		Files: []tarball.File{{Path: entry, Mode: 0o755, Content: content}}, User: "65535:65535", Entrypoint: []string{entry},
	}, nil
}

// Write writes a file as `docker save` makes it, of an image for this machine's architecture. The same image gives the same
// bytes.
func Write(file, reference string, image Image) error {
	var layer bytes.Buffer
	if err := tarball.Write(&layer, time.Time{}, withFolders(image.Files)...); err != nil {
		return fmt.Errorf("make the layer of image %s: %w", reference, err)
	}
	process := map[string]any{"Entrypoint": image.Entrypoint, "User": image.User}
	if image.Cmd != nil {
		process["Cmd"] = image.Cmd
	}
	if image.Ports != nil {
		ports := map[string]any{}
		for _, port := range image.Ports {
			ports[port] = struct{}{}
		}
		process["ExposedPorts"] = ports
	}
	config, err := json.Marshal(map[string]any{
		// containerd ignores, on import, an image that does not say it is for this platform.
		"os":           "linux",
		"architecture": runtime.GOARCH,
		"config":       process,
		"rootfs":       map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + digest(layer.Bytes())}},
	})
	if err != nil {
		return fmt.Errorf("encode the configuration of image %s: %w", reference, err)
	}
	configName, layerName := digest(config)+".json", digest(layer.Bytes())+".tar"
	manifest, err := json.Marshal([]map[string]any{{
		"Config": configName, "RepoTags": []string{reference}, "Layers": []string{layerName},
	}})
	if err != nil {
		return fmt.Errorf("encode the manifest of image %s: %w", reference, err)
	}
	var archive bytes.Buffer
	err = tarball.Write(&archive, time.Time{},
		tarball.File{Path: layerName, Mode: 0o644, Content: layer.Bytes()},
		tarball.File{Path: configName, Mode: 0o644, Content: config},
		tarball.File{Path: "manifest.json", Mode: 0o644, Content: manifest})
	if err != nil {
		return fmt.Errorf("write image %s: %w", reference, err)
	}
	return files.Write(file, archive.Bytes(), 0o600)
}

// withFolders is what a layer holds, in the order of a layer: a folder comes before its files. A folder has neither content nor a
// base name.
func withFolders(unsorted []tarball.File) []tarball.File {
	sorted := slices.SortedFunc(slices.Values(unsorted), func(a, b tarball.File) int { return strings.Compare(a.Path, b.Path) })
	var all []tarball.File
	made := map[string]bool{"/": true}
	var makeFolder func(folder string)
	makeFolder = func(folder string) {
		if !made[folder] {
			makeFolder(path.Dir(folder))
			made[folder] = true
			all = append(all, tarball.File{Path: folder[1:] + "/", Mode: 0o755})
		}
	}
	for _, f := range sorted {
		makeFolder(path.Dir(f.Path))
		all = append(all, tarball.File{Path: f.Path[1:], Mode: f.Mode, Content: f.Content})
	}
	return all
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
