package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/scrapethis/spider-operator/hack/internal/files"
)

// access is what it takes to use the demo's cluster and API.
type access struct {
	Kubeconfig string `json:"kubeconfig,omitempty"` // none for the one that kubectl finds by itself
	URL        string `json:"url"`
	Key        string `json:"key"`
}

// accessFile is removed together with the local cluster.
func accessFile(root string) string { return filepath.Join(root, ".cluster", "demo.json") }

// loadAccess returns what an earlier demo has saved; nothing when there was none.
func loadAccess(root string) (access, error) { return files.LoadIfThere[access](accessFile(root)) }

// save writes a file that nobody else may read.
func (a access) save(root string) error {
	file := accessFile(root)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("save the demo's API key: %w", err)
	}
	return files.Save(file, a)
}

// exports are lines for a POSIX shell.
func (a access) exports() string {
	var lines strings.Builder
	for _, variable := range []struct{ name, value string }{
		{"KUBECONFIG", a.Kubeconfig}, {"SPIDER_API_URL", a.URL}, {"SPIDER_API_KEY", a.Key},
	} {
		if variable.value != "" {
			fmt.Fprintf(&lines, "export %s=%s\n", variable.name, quoted(variable.value))
		}
	}
	return lines.String()
}

func quoted(value string) string { return "'" + strings.ReplaceAll(value, "'", `'\''`) + "'" }

func printAccess(root string, out io.Writer) error {
	a, err := loadAccess(root)
	if err != nil {
		return err
	}
	if a == (access{}) {
		return errors.New("no demo has run here yet: make demo")
	}
	_, err = io.WriteString(out, a.exports())
	return err
}
