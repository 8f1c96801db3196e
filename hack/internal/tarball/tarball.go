// Package tarball writes tar archives that are the same whenever they are written.
package tarball

import (
	"archive/tar"
	"fmt"
	"io"
	"time"
)

// File is a file of an archive. A folder has a path that ends with a slash, and no content.
type File struct {
	Path string
	// Mode are its permission bits.
	Mode int64
	// Content is all of it.
	Content []byte
}

// Write writes an archive in which all files have the same date and belong to root.
func Write(w io.Writer, date time.Time, files ...File) error {
	archive := tar.NewWriter(w)
	for _, f := range files {
		header := &tar.Header{Name: f.Path, Mode: f.Mode, Size: int64(len(f.Content)), ModTime: date, Format: tar.FormatUSTAR}
		if err := archive.WriteHeader(header); err != nil {
			return fmt.Errorf("%s: %w", f.Path, err)
		}
		if _, err := archive.Write(f.Content); err != nil {
			return fmt.Errorf("%s: %w", f.Path, err)
		}
	}
	return archive.Close()
}
