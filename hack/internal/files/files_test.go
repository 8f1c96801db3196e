package files

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestWhatIsSavedIsLoadedAndItsOwners(t *testing.T) {
	path := filepath.Join(t.TempDir(), "saved.json")
	if none, err := LoadIfThere[map[string]int](path); none != nil || err != nil {
		t.Errorf("before anything is saved: %v, %v", none, err)
	}
	if _, err := Load[map[string]int](path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file is not told from a broken one: %v", err)
	}
	// This holds for any content and any mode that the file had before.
	if err := os.WriteFile(path, []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadIfThere[map[string]int](path); err == nil {
		t.Error("a broken file counts as one that is missing")
	}
	if err := Save(path, map[string]int{"a": 1}); err != nil {
		t.Fatal(err)
	}
	if loaded, err := Load[map[string]int](path); err != nil || loaded["a"] != 1 {
		t.Errorf("loaded %v, %v", loaded, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info.Mode(), err)
	}
}
