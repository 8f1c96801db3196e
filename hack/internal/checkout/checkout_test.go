package checkout

import (
	"os"
	"path/filepath"
	"testing"
)

func TestTheRepositoryIsFoundFromItsFolders(t *testing.T) {
	root := t.TempDir()
	deep := filepath.Join(root, "hack", "cluster")
	if err := os.MkdirAll(deep, 0o700); err != nil {
		t.Fatal(err)
	}
	if got, err := Root(deep); err == nil {
		t.Errorf("found %q outside of any clone", got)
	}
	if err := os.WriteFile(filepath.Join(root, "PROJECT"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := Root(deep); err != nil || got != root {
		t.Errorf("found %q, %v; want %q", got, err, root)
	}
}
