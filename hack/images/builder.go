package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/scrapethis/spider-operator/hack/internal/gobuild"
	"github.com/scrapethis/spider-operator/hack/internal/progress"
)

// builder keeps the archives of images up to date.
type builder struct {
	root     string // of the repository
	tag      string // of the images
	archives string // folder of the archives, in the repository and ignored by git
	cache    string // folder of buildah's storage, shared by all clones of the repository
}

func newBuilder(root, tag string) (*builder, error) {
	cache, err := gobuild.DefaultCache()
	if err != nil {
		return nil, err
	}
	b := &builder{root: root, tag: tag, archives: filepath.Join(root, ".images"), cache: filepath.Join(string(cache), "images")}
	for _, folder := range []string{b.archives, b.cache} {
		if err := os.MkdirAll(folder, 0o750); err != nil {
			return nil, fmt.Errorf("make a folder: %w", err)
		}
	}
	return b, nil
}

// reference is what clusters know an image by.
func (b *builder) reference(img projectImage) string { return img.Name + ":" + b.tag }

// ensure builds an image unless its archive is there and was made of the same inputs. It returns the archive's path and
// what was done.
func (b *builder) ensure(ctx context.Context, img projectImage, note progress.Note) (archive, outcome string, err error) {
	archive = filepath.Join(b.archives, img.Name+".tar")
	stamp := filepath.Join(b.archives, img.Name+".inputs")
	inputs, err := inputsDigest(b.root, img, b.reference(img), runtime.Version(), debianBase)
	if err != nil {
		return "", "", err
	}
	if upToDate(archive, stamp, inputs) {
		return archive, "up to date", nil
	}
	if img.Static == nil && os.Geteuid() != 0 {
		return "", "", errors.New("building an image with an operating system, without a Docker engine, needs root")
	}
	unlock, err := gobuild.Lock(ctx, filepath.Join(b.cache, "lock"), note)
	if err != nil {
		return "", "", err
	}
	defer unlock()
	if upToDate(archive, stamp, inputs) {
		return archive, "built by somebody else", nil
	}
	// Until the new archive is complete the old one must not be used.
	if err := os.Remove(stamp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", "", fmt.Errorf("replace %s: %w", archive, err)
	}
	produce := b.build
	if img.Static != nil {
		produce = b.write
	}
	if err := produce(ctx, img, archive, note); err != nil {
		return "", "", err
	}
	if err := os.WriteFile(stamp, []byte(inputs), 0o600); err != nil {
		return "", "", fmt.Errorf("record the inputs of %s: %w", archive, err)
	}
	return archive, "built", nil
}

func upToDate(archive, stamp, inputs string) bool {
	recorded, err := os.ReadFile(stamp)
	if err != nil || string(recorded) != inputs {
		return false
	}
	_, err = os.Stat(archive)
	return err == nil
}

func (b *builder) build(ctx context.Context, img projectImage, archive string, note progress.Note) (err error) {
	file, err := os.Create(filepath.Join(b.archives, img.Name+".log"))
	if err != nil {
		return fmt.Errorf("make the log of the build: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	log := &noted{to: file, note: note}
	if err := requirePrograms(ctx, log, "buildah"); err != nil {
		return err
	}
	run := filepath.Join(b.cache, "run")
	if err := errors.Join(os.RemoveAll(run), os.MkdirAll(run, 0o700)); err != nil {
		return fmt.Errorf("empty %s: %w", run, err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(run)) }()
	buildah := buildah{storage: filepath.Join(b.cache, "storage"), run: run, log: log}

	// Containers that an interrupted build left.
	if _, err := buildah.do(ctx, "rm", "--all"); err != nil {
		return err
	}
	args, err := b.arguments(ctx, img, bases{buildah: buildah, log: log})
	if err != nil {
		return err
	}
	idFile := filepath.Join(run, "image")
	args = append(args, "--tag", "localhost/"+img.Name, "--iidfile", idFile, filepath.Join(b.root, img.Context))
	if _, err := buildah.do(ctx, args...); err != nil {
		return err
	}
	id, err := os.ReadFile(idFile)
	if err != nil {
		return fmt.Errorf("read the id of the image: %w", err)
	}

	// buildah does not write over an archive.
	partial := archive + ".partial"
	if err := os.RemoveAll(partial); err != nil {
		return fmt.Errorf("replace %s: %w", archive, err)
	}
	if _, err := buildah.do(ctx, "push", "--quiet", string(id), "docker-archive:"+partial+":"+b.reference(img)); err != nil {
		return err
	}
	if err := os.Rename(partial, archive); err != nil {
		return fmt.Errorf("replace %s: %w", archive, err)
	}
	_, err = buildah.do(ctx, "rmi", "--prune", "--force")
	return err
}

// arguments is the call of buildah that builds an image, but for its name and context.
func (b *builder) arguments(ctx context.Context, img projectImage, bases bases) ([]string, error) {
	file := filepath.Join(b.root, img.Dockerfile)
	dockerfile, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the Dockerfile: %w", err)
	}
	args := []string{"build", "--isolation", "chroot", "--pull-never", "--force-rm", "--file", file}
	if ignore := filepath.Join(b.root, img.Context, ".dockerignore"); exists(ignore) {
		args = append(args, "--ignorefile", ignore)
	}
	if wantsDebian(string(dockerfile)) {
		base, err := bases.ensure(ctx)
		if err != nil {
			return nil, err
		}
		args = append(args, "--build-arg", debianArgument+"="+base)
	}
	// Installing packages is what takes time in such an image: keep the layers.
	return append(args, "--layers"), nil
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}
