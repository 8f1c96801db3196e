package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/google/licensecheck"
)

// allowed are the licences, by their SPDX names, that a part of the binary may have: they ask no more than to be passed on.
var allowed = []string{"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT"}

// component is a part of the binary that others made: a Go module, Go's standard library, or files embedded in our packages.
type component struct {
	name     string // a module's path; the name of the folder that embedded files lie in
	version  string
	module   bool              // whether it is a Go module
	texts    map[string][]byte // its licence files and notices, by their path in it
	licences []string          // SPDX names, sorted
	unknown  []string          // those licence files in which none was recognized
}

// goPackage is what `go list` tells of a package.
type goPackage struct {
	ImportPath, Dir string
	Standard        bool
	EmbedFiles      []string
	Module          *struct {
		Path, Version, Dir string
		Main               bool
	}
}

// inBinary finds what others made of what is in the binary for any of the platforms, ordered by name.
func inBinary(ctx context.Context, root string, platforms []platform) ([]component, error) {
	found := map[string]*component{}
	for _, p := range platforms {
		packages, err := listPackages(ctx, root, p)
		if err != nil {
			return nil, err
		}
		for _, pkg := range packages {
			if err := addPackage(found, pkg); err != nil {
				return nil, fmt.Errorf("find the licences of %s: %w", pkg.ImportPath, err)
			}
		}
	}
	if err := addStandardLibrary(ctx, root, found); err != nil {
		return nil, fmt.Errorf("find the licence of Go's standard library: %w", err)
	}
	components := make([]component, 0, len(found))
	for _, c := range found {
		c.classify()
		components = append(components, *c)
	}
	slices.SortFunc(components, func(a, b component) int { return cmp.Compare(a.name, b.name) })
	return components, nil
}

// listPackages lists every package that is linked into the binary.
func listPackages(ctx context.Context, root string, p platform) ([]goPackage, error) {
	listed, err := output(ctx, root, goEnv(p),
		"go", "list", "-deps", "-json=ImportPath,Dir,Standard,EmbedFiles,Module", "./cmd/"+program)
	if err != nil {
		return nil, fmt.Errorf("list the packages for %s/%s: %w", p.os, p.arch, err)
	}
	var packages []goPackage
	for decoder := json.NewDecoder(strings.NewReader(listed)); ; {
		var pkg goPackage
		switch err := decoder.Decode(&pkg); {
		case errors.Is(err, io.EOF):
			return packages, nil
		case err != nil:
			return nil, fmt.Errorf("read what go list printed: %w", err)
		}
		packages = append(packages, pkg)
	}
}

// addPackage adds what a package brings with it. A module's licences are in its folder, and for code that it took from elsewhere
// in folders between that and the package's.
func addPackage(found map[string]*component, pkg goPackage) error {
	switch {
	case pkg.Standard:
		return nil
	case pkg.Module == nil:
		return errors.New("it belongs to no module")
	case pkg.Module.Main:
		return addEmbedded(found, pkg)
	}
	c := found[pkg.Module.Path]
	if c == nil {
		c = &component{name: pkg.Module.Path, version: pkg.Module.Version, module: true, texts: map[string][]byte{}}
		found[c.name] = c
	}
	for folder := pkg.Dir; ; folder = filepath.Dir(folder) {
		if err := c.addTexts(pkg.Module.Dir, folder); err != nil {
			return err
		}
		if folder == pkg.Module.Dir {
			return nil
		}
	}
}

var updateVersion = regexp.MustCompile(`(?m)^version=(\S+)$`)

// addEmbedded adds the folders of files that a package of ours embeds and that have a licence of their own. The script
// update.sh beside such a folder names the version.
func addEmbedded(found map[string]*component, pkg goPackage) error {
	for _, file := range pkg.EmbedFiles {
		folder := filepath.Join(pkg.Dir, filepath.Dir(file))
		name := filepath.Base(folder)
		if folder == pkg.Dir || found[name] != nil {
			continue
		}
		c := &component{name: name, texts: map[string][]byte{}}
		if err := c.addTexts(folder, folder); err != nil {
			return err
		}
		if len(c.texts) == 0 {
			continue
		}
		script, err := os.ReadFile(filepath.Join(filepath.Dir(folder), "update.sh"))
		if err != nil {
			return fmt.Errorf("find the version of %s: %w", name, err)
		}
		match := updateVersion.FindSubmatch(script)
		if match == nil {
			return fmt.Errorf("update.sh names no version of %s", name)
		}
		c.version = string(match[1])
		found[name] = c
	}
	return nil
}

// standardLibrary is its name in bills of materials.
const standardLibrary = "std"

func addStandardLibrary(ctx context.Context, root string, found map[string]*component) error {
	printed, err := output(ctx, root, nil, "go", "env", "GOROOT", "GOVERSION")
	if err != nil {
		return err
	}
	goroot, version, _ := strings.Cut(printed, "\n")
	c := &component{name: standardLibrary, version: version, module: true, texts: map[string][]byte{}}
	found[c.name] = c
	return c.addTexts(goroot, goroot)
}

// What has to be passed on with a work: licence files, in which a licence has to be recognized; the licences' heads that a
// bundler of JavaScript collects; and notices, which name authors and grants but no licence.
var (
	licenceName = regexp.MustCompile(`(?i)^(licen[cs]e|copying|unlicense)([-_.][a-z0-9_.-]*)?$`)
	headsName   = regexp.MustCompile(`(?i)^.+\.licen[cs]e(\.txt)?$`)
	noticeName  = regexp.MustCompile(`(?i)^(notice|copyright|patents|authors)([-_.][a-z0-9_.-]*)?$`)
)

// addTexts adds the texts in a folder of a component.
func (c *component) addTexts(root, folder string) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, e := range entries {
		carried := licenceName.MatchString(e.Name()) || headsName.MatchString(e.Name()) || noticeName.MatchString(e.Name())
		if e.IsDir() || strings.HasSuffix(e.Name(), ".go") || !carried {
			continue
		}
		path := filepath.Join(folder, e.Name())
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if c.texts[name], err = os.ReadFile(path); err != nil {
			return err
		}
	}
	return nil
}

// recognized is the part of a licence file, in percent of its words, that has to be the text of known licences.
const recognized = 75

// classify reads the licences out of the texts.
func (c *component) classify() {
	licences := map[string]bool{}
	for _, path := range slices.Sorted(maps.Keys(c.texts)) {
		if noticeName.MatchString(filepath.Base(path)) {
			continue
		}
		coverage := licensecheck.Scan(c.texts[path])
		for _, match := range coverage.Match {
			licences[match.ID] = true
		}
		if licenceName.MatchString(filepath.Base(path)) && coverage.Percent < recognized {
			c.unknown = append(c.unknown, path)
		}
	}
	c.licences = slices.Sorted(maps.Keys(licences))
}

// checkLicences names every component whose licence is missing, unknown or not allowed.
func checkLicences(components []component) error {
	var errs []error
	for _, c := range components {
		if len(c.licences) == 0 {
			errs = append(errs, fmt.Errorf("%s %s has no licence that is known", c.name, c.version))
		}
		for _, path := range c.unknown {
			errs = append(errs, fmt.Errorf("%s %s: the licence in its file %s is not known", c.name, c.version, path))
		}
		for _, licence := range c.licences {
			if !slices.Contains(allowed, licence) {
				errs = append(errs, fmt.Errorf("%s %s has the licence %s, which is not among those allowed (%s)",
					c.name, c.version, licence, strings.Join(allowed, ", ")))
			}
		}
	}
	return errors.Join(errs...)
}

// licenceTexts is one text with all the components' texts, each of them once.
func licenceTexts(components []component) []byte {
	var order []string
	users := map[string][]string{}
	for _, c := range components {
		for _, path := range slices.Sorted(maps.Keys(c.texts)) {
			text := strings.TrimSpace(strings.ReplaceAll(string(c.texts[path]), "\r\n", "\n"))
			if users[text] == nil {
				order = append(order, text)
			}
			users[text] = append(users[text], fmt.Sprintf("%s %s (%s)", c.name, c.version, filepath.ToSlash(path)))
		}
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "The binary %s contains work of others. These are their licences and notices.\n", program)
	line := strings.Repeat("=", 80)
	for _, text := range order {
		fmt.Fprintf(&out, "\n%s\n%s\n%s\n\n%s\n", line, strings.Join(users[text], "\n"), line, text)
	}
	return out.Bytes()
}

// listLicences prints what is in the binary, and under which licence.
func listLicences(ctx context.Context, out io.Writer, root string) error {
	components, err := inBinary(ctx, root, platforms)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, c := range components {
		fmt.Fprintf(table, "%s\t%s\t%s\n", c.name, c.version, strings.Join(c.licences, ", "))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	return checkLicences(components)
}
