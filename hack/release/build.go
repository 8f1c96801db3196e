package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/scrapethis/spider-operator/hack/internal/tarball"
)

// platform is what a binary is built for, in Go's words.
type platform struct{ os, arch string }

// platforms are those of a release. The operator runs on Linux; whoever makes API keys or checks an installation may use a Mac.
var platforms = []platform{{"linux", "amd64"}, {"linux", "arm64"}, {"darwin", "arm64"}}

const (
	program      = "spider-operator"
	licenceFile  = "LICENSE"
	licencesFile = "THIRD_PARTY_LICENSES.txt"
	installFile  = "install.yaml"
	sumsFile     = "SHA256SUMS"
)

// release is one to be made.
type release struct {
	root      string // the project's folder
	out       string // an empty folder
	version   string // such as v1.2.3
	platforms []platform
	helm      string    // Helm's program
	date      time.Time // which all files have
	level     int       // gzip's, of compression
}

// build makes the files: an archive and a bill of materials for each platform, the chart, the manifest, licences and sums.
func (r release) build(ctx context.Context) error {
	work, err := os.MkdirTemp("", "release")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }() // a temporary folder

	components, err := inBinary(ctx, r.root, r.platforms)
	if err != nil {
		return err
	}
	if err := checkLicences(components); err != nil {
		return err
	}
	licence, err := os.ReadFile(filepath.Join(r.root, licenceFile))
	if err != nil {
		return err
	}
	others := licenceTexts(components)
	if err := r.write(licencesFile, others); err != nil {
		return err
	}
	texts := []tarball.File{
		{Path: licenceFile, Mode: 0o644, Content: licence}, {Path: licencesFile, Mode: 0o644, Content: others},
	}
	for _, p := range r.platforms {
		if err := r.buildBinary(ctx, p, work, texts, components); err != nil {
			return fmt.Errorf("build for %s/%s: %w", p.os, p.arch, err)
		}
	}
	if err := r.packageChart(ctx); err != nil {
		return err
	}
	manifest, err := installManifest(r.root, work, number(r.version))
	if err != nil {
		return err
	}
	if err := r.write(installFile, manifest); err != nil {
		return err
	}
	return r.sum()
}

// buildBinary makes the archive of a platform's binary and texts, and its bill of materials.
func (r release) buildBinary(ctx context.Context, p platform, work string, texts []tarball.File, components []component) error {
	name := strings.Join([]string{program, number(r.version), p.os, p.arch}, "_")
	binary, err := r.compile(ctx, p, filepath.Join(work, name))
	if err != nil {
		return err
	}
	var archive bytes.Buffer
	compressed, err := gzip.NewWriterLevel(&archive, r.level)
	if err != nil {
		return err
	}
	all := append([]tarball.File{{Path: program, Mode: 0o755, Content: binary}}, texts...)
	if err := errors.Join(tarball.Write(compressed, r.date, all...), compressed.Close()); err != nil {
		return err
	}
	if err := r.write(name+".tar.gz", archive.Bytes()); err != nil {
		return err
	}
	bom, err := billOfMaterials(binary, r.version, components)
	if err != nil {
		return err
	}
	return r.write(name+".cdx.json", bom)
}

// compile builds the binary for a platform. Nothing of the machine is in it: no paths, nothing of git, no settings of Go's but
// those named here.
func (r release) compile(ctx context.Context, p platform, path string) ([]byte, error) {
	// What the version control says is left out, so that a tree without it gives the same bytes; the version tells the commit.
	_, err := output(ctx, r.root, goEnv(p), "go", "build", "-trimpath", "-buildvcs=false",
		"-ldflags=-s -w -X main.version="+r.version, "-o", path, "./cmd/"+program)
	if err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

// goEnv is the part of Go's environment that decides what is in a binary.
func goEnv(p platform) []string {
	return []string{
		"GOOS=" + p.os, "GOARCH=" + p.arch, "GOAMD64=v1", "GOARM64=v8.0", "CGO_ENABLED=0",
		"GOFLAGS=-mod=readonly", "GOWORK=off", "GOEXPERIMENT=", "GOFIPS140=off",
	}
}

// write writes a file of the release.
func (r release) write(name string, content []byte) error {
	path := filepath.Join(r.out, name)
	if err := os.WriteFile(path, content, 0o644); err != nil { //nolint:gosec // It is there to be given away.
		return err
	}
	return os.Chtimes(path, r.date, r.date)
}

// sum writes the sums of all files, as sha256sum reads them.
func (r release) sum() error {
	entries, err := os.ReadDir(r.out)
	if err != nil {
		return err
	}
	var sums bytes.Buffer
	for _, entry := range entries {
		content, err := os.ReadFile(filepath.Join(r.out, entry.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%s  %s\n", hexSum(content), entry.Name())
	}
	return r.write(sumsFile, sums.Bytes())
}

func hexSum(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}
