package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// inputsDigest is a digest over all that an image is made of: its Dockerfile, the files of its context that .dockerignore
// lets through, and what the tools say of themselves.
func inputsDigest(root string, img projectImage, tools ...string) (string, error) {
	digest := sha256.New()
	for _, tool := range tools {
		add(digest, "tool", []byte(tool))
	}
	if err := addFile(digest, "Dockerfile", filepath.Join(root, img.Dockerfile)); err != nil {
		return "", err
	}
	folder := filepath.Join(root, img.Context)
	files, err := contextFiles(folder)
	if err != nil {
		return "", err
	}
	for _, name := range files {
		if err := addFile(digest, name, filepath.Join(folder, name)); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(digest.Sum(nil)), nil
}

// contextFiles lists the files of a build context as a build sees them, in lexical order.
func contextFiles(folder string) ([]string, error) {
	ignored, err := readIgnore(filepath.Join(folder, ".dockerignore"))
	if err != nil {
		return nil, err
	}
	var files []string
	err = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(folder, path)
		if err != nil || name == "." {
			return err
		}
		skip, err := ignored.MatchesOrParentMatches(name)
		switch {
		case err != nil:
			return err
		case entry.IsDir() && skip && !mayReadmit(ignored, name):
			return filepath.SkipDir
		case !entry.IsDir() && !skip:
			files = append(files, name)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list the build context %s: %w", folder, err)
	}
	return files, nil
}

// mayReadmit reports whether a pattern with an exclamation mark could let through something below an ignored folder.
func mayReadmit(ignored *patternmatcher.PatternMatcher, folder string) bool {
	for _, pattern := range ignored.Patterns() {
		if pattern.Exclusion() && strings.HasPrefix(pattern.String()+"/", folder+"/") {
			return true
		}
	}
	return false
}

func readIgnore(file string) (*patternmatcher.PatternMatcher, error) {
	content, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	patterns, err := ignorefile.ReadAll(bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	matcher, err := patternmatcher.New(patterns)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	return matcher, nil
}

func addFile(digest hash.Hash, name, file string) error {
	info, err := os.Lstat(file)
	if err != nil {
		return fmt.Errorf("read an input: %w", err)
	}
	name = fmt.Sprintf("%s %v", name, info.Mode())
	if info.Mode()&fs.ModeSymlink != 0 {
		target, err := os.Readlink(file)
		if err != nil {
			return fmt.Errorf("read an input: %w", err)
		}
		add(digest, name, []byte(target))
		return nil
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read an input: %w", err)
	}
	add(digest, name, content)
	return nil
}

// add adds a named content so that no other sequence of names and contents gives the same digest.
func add(digest hash.Hash, name string, content []byte) {
	sum := sha256.Sum256(content)
	digest.Write(fmt.Appendf(nil, "%d:%s%x", len(name), name, sum))
}
