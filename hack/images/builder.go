package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// Where Docker's own Go image keeps its toolchain and caches, and where builds therefore find the machine's.
const (
	goRoot    = "/usr/local/go"
	goPath    = "/go"
	goModules = goPath + "/pkg/mod"
	goCache   = "/root/.cache/go-build"
)

// builder keeps the archives of images up to date.
type builder struct {
	root     string // of the repository
	tag      string // of the images
	archives string // folder of the archives, in the repository and ignored by git
	cache    string // folder of buildah's storage, shared by all clones of the repository
	goEnv    goEnvironment
}

// goEnvironment is what the machine's Go says of itself.
type goEnvironment struct{ version, root, modules, cache string }

func newBuilder(ctx context.Context, root, tag string) (*builder, error) {
	userCache, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("find the folder of caches: %w", err)
	}
	b := &builder{
		root:     root,
		tag:      tag,
		archives: filepath.Join(root, ".images"),
		cache:    filepath.Join(userCache, "spider-operator", "images"),
	}
	for _, folder := range []string{b.archives, b.cache} {
		if err := os.MkdirAll(folder, 0o750); err != nil {
			return nil, fmt.Errorf("make a folder: %w", err)
		}
	}
	printed, err := exec.CommandContext(ctx, "go", "env", "GOVERSION", "GOROOT", "GOMODCACHE", "GOCACHE").Output()
	if err != nil {
		return nil, fmt.Errorf("ask go for its environment: %w", err)
	}
	lines := strings.Split(strings.TrimSpace(string(printed)), "\n")
	if len(lines) != 4 {
		return nil, fmt.Errorf("ask go for its environment: it printed %q", printed)
	}
	b.goEnv = goEnvironment{version: lines[0], root: lines[1], modules: lines[2], cache: lines[3]}
	return b, nil
}

// reference is what clusters know an image by.
func (b *builder) reference(img image) string { return img.Name + ":" + b.tag }

// ensure builds an image unless its archive is there and was made of the same inputs. It returns the archive's path and
// what was done.
func (b *builder) ensure(ctx context.Context, img image) (archive, outcome string, err error) {
	archive = filepath.Join(b.archives, img.Name+".tar")
	stamp := filepath.Join(b.archives, img.Name+".inputs")
	inputs, err := inputsDigest(b.root, img, b.reference(img), b.goEnv.version, debianBase, goBase)
	if err != nil {
		return "", "", err
	}
	if upToDate(archive, stamp, inputs) {
		return archive, "up to date", nil
	}
	if os.Geteuid() != 0 {
		return "", "", errors.New("building images without a Docker engine needs root")
	}
	unlock, err := lock(filepath.Join(b.cache, "lock"))
	if err != nil {
		return "", "", err
	}
	defer unlock()
	if upToDate(archive, stamp, inputs) {
		return archive, "built by somebody else", nil
	}
	// Until the new archive is complete the old one is nobody's.
	if err := os.Remove(stamp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", "", fmt.Errorf("replace %s: %w", archive, err)
	}
	if err := b.build(ctx, img, archive); err != nil {
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

// lock waits until no other process, of this clone or another, works on the same storage.
func lock(file string) (unlock func(), err error) {
	held, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the storage: %w", err)
	}
	descriptor := int(held.Fd())
	if syscall.Flock(descriptor, syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		say("waiting for another build of images to end")
		if err := syscall.Flock(descriptor, syscall.LOCK_EX); err != nil {
			return nil, errors.Join(fmt.Errorf("lock the storage: %w", err), held.Close())
		}
	}
	return func() { _ = held.Close() }, nil // the lock goes with the descriptor, whatever else goes wrong
}

func (b *builder) build(ctx context.Context, img image, archive string) (err error) {
	log, err := os.Create(filepath.Join(b.archives, img.Name+".log"))
	if err != nil {
		return fmt.Errorf("make the log of the build: %w", err)
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	if err := requirePrograms(ctx, log, "buildah"); err != nil {
		return err
	}
	run := filepath.Join(b.cache, "run")
	if err := emptyFolder(run); err != nil {
		return err
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
func (b *builder) arguments(ctx context.Context, img image, bases bases) ([]string, error) {
	file := filepath.Join(b.root, img.Dockerfile)
	dockerfile, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the Dockerfile: %w", err)
	}
	args := []string{"build", "--isolation", "chroot", "--pull-never", "--force-rm", "--file", file}
	if ignore := filepath.Join(b.root, img.Context, ".dockerignore"); exists(ignore) {
		args = append(args, "--ignorefile", ignore)
	}
	for _, argument := range baseArguments(dockerfile) {
		base, err := bases.ensure(ctx, argument)
		if err != nil {
			return nil, err
		}
		args = append(args, "--build-arg", argument+"="+base)
	}
	if img.Module == "" {
		// Installing packages is what takes time in such an image: keep the layers.
		return append(args, "--layers"), nil
	}
	// What takes time here is compiling, and Go's own cache remembers that better than layers do.
	if err := downloadModules(ctx, filepath.Join(b.root, img.Module), bases.log); err != nil {
		return nil, err
	}
	return append(args, "--layers=false",
		"--volume", b.goEnv.root+":"+goRoot+":ro",
		"--volume", b.goEnv.modules+":"+goModules,
		"--volume", b.goEnv.cache+":"+goCache), nil
}

// downloadModules fetches a Go module's dependencies with the machine's own Go, which knows where from.
func downloadModules(ctx context.Context, module string, log io.Writer) error {
	command := contained(ctx, "go", "mod", "download")
	command.Dir = module
	_, err := output(command, log)
	return err
}

// emptyFolder makes a folder, empty whatever an earlier process left there.
func emptyFolder(folder string) error {
	if err := os.RemoveAll(folder); err != nil {
		return fmt.Errorf("empty %s: %w", folder, err)
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("make %s: %w", folder, err)
	}
	return nil
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}
