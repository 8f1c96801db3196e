package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestBuildahsNetworksAreInItsOwnFolder checks that building images makes no /etc/cni on a machine that had none: a cluster
// that is stopped without a trace would report it.
func TestBuildahsNetworksAreInItsOwnFolder(t *testing.T) {
	b := buildah{run: t.TempDir()}
	path, err := b.settings()
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("network_config_dir = %q", filepath.Join(b.run, "networks")); !strings.Contains(string(content), want) {
		t.Errorf("buildah's settings are\n%s\nand do not say %s", content, want)
	}
}
