// Package checkout finds the clone of spider-operator that a program works on.
package checkout

import (
	"fmt"
	"os"
	"path/filepath"
)

// Root returns the folder that holds the project: start or one above it, start being the working directory where it is "".
func Root(start string) (string, error) {
	start, err := filepath.Abs(start)
	if err != nil {
		return "", fmt.Errorf("find the project: %w", err)
	}
	for folder := start; ; folder = filepath.Dir(folder) {
		if _, err := os.Stat(filepath.Join(folder, "PROJECT")); err == nil {
			return folder, nil
		}
		if folder == filepath.Dir(folder) {
			return "", fmt.Errorf("find the project: %s is not inside a clone of spider-operator", start)
		}
	}
}
