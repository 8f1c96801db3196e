package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/scrapethis/spider-operator/hack/internal/command"
	"github.com/scrapethis/spider-operator/hack/internal/gobuild"
	"github.com/scrapethis/spider-operator/hack/internal/image"
	"github.com/scrapethis/spider-operator/hack/internal/progress"
	"github.com/scrapethis/spider-operator/hack/internal/tarball"
)

// write makes the archive of a static image: it compiles the program with the machine's Go, and its caches.
func (b *builder) write(ctx context.Context, img projectImage, archive string, note progress.Note) (err error) {
	scratch, err := os.MkdirTemp(b.archives, img.Name+"-")
	if err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	program := filepath.Join(scratch, "program")
	if err := gobuild.Build(ctx, img.Static.program(b.root), program, note); err != nil {
		return err
	}
	content, err := os.ReadFile(program)
	if err != nil {
		return fmt.Errorf("read the program: %w", err)
	}
	made := img.Static.Config
	made.Files = []tarball.File{{Path: img.Static.Path, Mode: 0o755, Content: content}}
	if img.Static.Generate != "" {
		pages, err := generated(ctx, program, filepath.Join(scratch, "generated"), img.Static.Generate)
		if err != nil {
			return err
		}
		made.Files = append(made.Files, pages...)
	}
	return image.Write(archive, b.reference(img), made)
}

// program is what is compiled, and how.
func (s *static) program(root string) gobuild.Program {
	flags := "-s -w"
	if s.LDFlags != "" {
		flags += " " + s.LDFlags
	}
	return gobuild.Program{
		Name: path.Base(s.Package), Module: filepath.Join(root, s.Module), Package: s.Package,
		Flags: []string{"-buildvcs=false", "-ldflags=" + flags},
	}
}

// generated has a program fill a folder, and returns the files as those of an image's folder.
func generated(ctx context.Context, program, folder, target string) ([]tarball.File, error) {
	if _, err := command.Output(command.New(ctx, program, "generate", folder)); err != nil {
		return nil, err
	}
	var files []tarball.File
	err := filepath.WalkDir(folder, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(folder, name)
		files = append(files, tarball.File{Path: path.Join(target, filepath.ToSlash(relative)), Mode: 0o644, Content: content})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read what %s generated: %w", filepath.Base(program), err)
	}
	return files, nil
}
