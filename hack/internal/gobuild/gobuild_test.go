package gobuild

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const mainSource = `package main

func main() { println("hello") }
`

func module(t *testing.T, source string) Program {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "go.mod"), "module example.test/hello\n\ngo 1.26\n")
	write(t, filepath.Join(dir, "main.go"), source)
	return Program{Name: "hello", Module: dir, Package: ".", Links: []string{"bonjour"}}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func silent(string, ...any) {}

func TestKeyChangesWithSourceDependenciesAndFlags(t *testing.T) {
	key := func(p Program) string {
		t.Helper()
		k, err := p.Key()
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	for name, test := range map[string]struct {
		change func(p *Program)
		same   bool
	}{
		"nothing":      {func(*Program) {}, true},
		"a test":       {func(p *Program) { write(t, filepath.Join(p.Module, "main_test.go"), "package main") }, true},
		"a README":     {func(p *Program) { write(t, filepath.Join(p.Module, "README.md"), "hello") }, true},
		"a source":     {func(p *Program) { write(t, filepath.Join(p.Module, "main.go"), "package main\nfunc main() {}") }, false},
		"a new source": {func(p *Program) { write(t, filepath.Join(p.Module, "more.go"), "package main") }, false},
		"dependencies": {func(p *Program) { write(t, filepath.Join(p.Module, "go.sum"), "x v1.0.0 h1:a=\n") }, false},
		"flags":        {func(p *Program) { p.Flags = []string{"-race"} }, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := module(t, mainSource)
			before := key(p)
			test.change(&p)
			if same := key(p) == before; same != test.same {
				t.Errorf("the key is the same: %v, want %v", same, test.same)
			}
		})
	}
	if here, there := key(module(t, mainSource)), key(module(t, mainSource)); here != there {
		t.Error("the key depends on the folder: a second clone would build all again")
	}
}

func TestEnsureBuildsOnce(t *testing.T) {
	cache, p := Cache(filepath.Join(t.TempDir(), "cache")), module(t, mainSource)
	dir, err := cache.Ensure(context.Background(), p, silent)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"hello", "bonjour"} {
		out, err := exec.CommandContext(t.Context(), filepath.Join(dir, name)).CombinedOutput()
		if err != nil || string(out) != "hello\n" {
			t.Errorf("%s: %v, %q", name, err, out)
		}
	}
	built, err := os.Stat(filepath.Join(dir, "hello"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cache.Ensure(context.Background(), p, silent); err != nil {
		t.Fatal(err)
	}
	if again, err := os.Stat(filepath.Join(dir, "hello")); err != nil || !os.SameFile(built, again) {
		t.Errorf("the program was built again (%v)", err)
	}
	entries, err := os.ReadDir(string(cache))
	if err != nil || len(entries) != 2 { // the program and its lock
		t.Errorf("the cache holds %v, %v", entries, err)
	}
}

func TestAFailedBuildSaysWhyAndLeavesNothing(t *testing.T) {
	cache, p := Cache(t.TempDir()), module(t, "package main\n\nfunc main() { undefined() }\n")
	_, err := cache.Ensure(context.Background(), p, silent)
	if err == nil || !strings.Contains(err.Error(), "undefined: undefined") {
		t.Errorf("the error does not hold the compiler's words: %v", err)
	}
	if cache.Has(p) {
		t.Error("a failed build counts as built")
	}
	if left, err := filepath.Glob(filepath.Join(string(cache), "*building*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
