package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestAccessIsSavedForItsOwnerOnly(t *testing.T) {
	root := t.TempDir()
	saved := access{Kubeconfig: "/k", URL: "http://a", Key: "st_secret"}
	// Whatever was there before, and whoever could read it.
	write(t, accessFile(root), "{}")
	if err := saved.save(root); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(accessFile(root))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file of the key: %v, %v", info.Mode(), err)
	}
	if loaded, err := loadAccess(root); err != nil || loaded != saved {
		t.Errorf("loaded %+v, %v", loaded, err)
	}
}

func TestNoAccessIsToldBeforeTheFirstDemo(t *testing.T) {
	err := printAccess(t.TempDir(), &strings.Builder{})
	if err == nil || !strings.Contains(err.Error(), "make demo") {
		t.Errorf("error %v", err)
	}
}

func TestExportsSurviveTheShell(t *testing.T) {
	a := access{Kubeconfig: `/home/it's "me"/$HOME/k`, URL: "http://10.96.1.2", Key: "st_a_b-c"}
	script := a.exports() + `printf '%s\n' "$KUBECONFIG" "$SPIDER_API_URL" "$SPIDER_API_KEY"`
	printed, err := exec.CommandContext(t.Context(), "sh", "-c", script).Output()
	want := a.Kubeconfig + "\n" + a.URL + "\n" + a.Key + "\n"
	if err != nil || string(printed) != want {
		t.Errorf("the shell sees %q, %v, want %q", printed, err, want)
	}
}

func TestAnUnnamedKubeconfigIsNotExported(t *testing.T) {
	if exports := (access{URL: "u", Key: "k"}).exports(); strings.Contains(exports, "KUBECONFIG") {
		t.Errorf("exports: %s", exports)
	}
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
