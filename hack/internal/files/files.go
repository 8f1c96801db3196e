// Package files writes files as a whole or not at all, so that an interrupted program never leaves half of one.
package files

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Write replaces a file. It gets the mode also if there was one of another mode.
func Write(path string, content []byte, mode fs.FileMode) error {
	partial := path + ".new"
	if err := errors.Join(os.RemoveAll(partial), os.WriteFile(partial, content, mode), os.Rename(partial, path)); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// Save writes a value as JSON to a file that nobody else may read.
func Save(path string, value any) error {
	content, err := json.MarshalIndent(value, "", " ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	return Write(path, content, 0o600)
}

// Load reads a value that Save wrote; fs.ErrNotExist is in the error's chain if there is none.
func Load[T any](path string) (value T, err error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return value, err // it names the file
	}
	if err := json.Unmarshal(content, &value); err != nil {
		return value, fmt.Errorf("read %s: %w", path, err)
	}
	return value, nil
}

// LoadIfThere is Load, and the zero value if there is no such file.
func LoadIfThere[T any](path string) (T, error) {
	value, err := Load[T](path)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return value, err
}
