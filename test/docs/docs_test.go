package docs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	// patience bounds how long a page may take.
	patience = 4 * time.Minute
	// mostNotRun bounds how many blocks of all pages may be left out. Think twice before you raise it.
	mostNotRun = 8
)

// alone is the page that removes the operator, which all other pages need.
const alone = "docs/run.md"

func TestEveryCommandOfTheDocumentation(t *testing.T) {
	s := newStage(t)
	blocks, left := 0, 0
	var last page
	t.Run("pages", func(t *testing.T) {
		for _, p := range s.pages(t) {
			blocks += p.blocks
			for _, o := range p.notRun {
				left++
				t.Logf("not run: %s:%d: %s", p.name, o.line, o.reason)
			}
			if p.name == alone {
				last = p
				continue
			}
			t.Run(p.name, func(t *testing.T) {
				t.Parallel()
				s.run(t, p)
			})
		}
	})
	if left > mostNotRun || blocks == 0 {
		t.Errorf("%[2]d of %[1]d blocks of commands do not run; at most %[3]d may be left out", blocks, left, mostNotRun)
	}
	if last.blocks == 0 {
		t.Fatalf("%s shows no commands", alone)
	}
	t.Cleanup(func() { s.demo(t) })
	t.Run(alone, func(t *testing.T) { s.run(t, last) })
}

func TestAFailedCommandIsReportedWithItsLine(t *testing.T) {
	s := &stage{root: root(t), tools: t.TempDir()}
	for script, says := range map[string]string{
		"\ntrue\nls /nowhere\n":   "docs/page.md:3: exit code 2: ls /nowhere",
		"\ntrue | grep x | cat\n": "docs/page.md:2: exit code 1",
		"f() {\n  false\n}\nf\n":  "docs/page.md:2: exit code 1: false",
		"\necho $NOWHERE\n":       "page.md: line 2: NOWHERE: unbound variable",
	} {
		if err := s.try(t, page{name: "docs/page.md", script: script}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %s", script, err, says)
		}
	}
	if err := s.try(t, page{name: "docs/page.md", script: "test -f PROJECT\nif false; then true; fi\nsleep 1000 &\n"}); err != nil {
		t.Error(err)
	}
}

// stage is the environment in which pages run.
type stage struct {
	// root is the repository.
	root string
	// tools is a folder with kubectl, helm and spider-operator in it.
	tools string
	helm  string
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{root: root(t), tools: t.TempDir(), helm: os.Getenv("HELM")}
	for tool, variable := range map[string]string{"kubectl": "KUBECTL", "helm": "HELM", "spider-operator": "SPIDER_OPERATOR"} {
		path := os.Getenv(variable)
		if !filepath.IsAbs(path) || os.Getenv("KUBECONFIG") == "" {
			t.Fatalf("the documentation runs on the demo's cluster: $KUBECONFIG and, as absolute paths, $KUBECTL, $HELM and " +
				"$SPIDER_OPERATOR have to be set. `make test-e2e` does so")
		}
		if err := os.Symlink(path, filepath.Join(s.tools, tool)); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// root returns the path of the repository.
func root(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// pages reads all pages.
func (s *stage) pages(t *testing.T) []page {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(s.root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	var pages []page
	for _, path := range append([]string{filepath.Join(s.root, "README.md")}, paths...) {
		name, err := filepath.Rel(s.root, path)
		if err != nil {
			t.Fatal(err)
		}
		p, err := readPage(name, read(t, path))
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, p)
	}
	return pages
}

// copyOfRepository returns a folder with the repository's files, in which a page can write without changing the repository.
func (s *stage) copyOfRepository(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	entries, err := os.ReadDir(s.root)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if err := os.Symlink(filepath.Join(s.root, entry.Name()), filepath.Join(folder, entry.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// run runs a page, and fails the test if one of its commands fails.
func (s *stage) run(t *testing.T, p page) {
	t.Helper()
	started := time.Now()
	if err := s.try(t, p); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d blocks took %s", p.blocks-len(p.notRun), time.Since(started).Round(100*time.Millisecond))
}

// try runs a page, and ends what it leaves running. Its error says which command failed, on which line, and what was printed.
func (s *stage) try(t *testing.T, p page) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	folder := t.TempDir()
	script := filepath.Join(folder, filepath.Base(p.name))
	if err := os.WriteFile(script, []byte(p.script), 0o600); err != nil {
		t.Fatal(err)
	}
	// A file instead of a pipe, which would have to be read until the last process in the background has closed it.
	output, err := os.Create(filepath.Join(folder, "output"))
	if err != nil {
		t.Fatal(err)
	}

	bash := exec.CommandContext(ctx, "bash", "-euE", "-o", "pipefail", script)
	bash.Dir = s.copyOfRepository(t)
	bash.Stdout, bash.Stderr = output, output
	bash.Env = append(os.Environ(), "PAGE="+p.name, "BASH_ENV="+filepath.Join(s.root, "test", "docs", "prelude.sh"),
		"PATH="+s.tools+":"+os.Getenv("PATH"))
	bash.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	all := func() error { return syscall.Kill(-bash.Process.Pid, syscall.SIGKILL) }
	bash.Cancel = all
	ended := bash.Run()
	if bash.Process != nil {
		if err := all(); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Errorf("end what %s left running: %v", p.name, err)
		}
	}
	if err := output.Close(); err != nil {
		t.Fatal(err)
	}
	switch {
	case ctx.Err() != nil:
		ended = fmt.Errorf("not done within %s", patience)
	case ended == nil:
		return nil
	}
	return fmt.Errorf("%s: bash: %w. It printed:\n%s", p.name, ended, end(read(t, output.Name())))
}

// end returns the last part of a text.
func end(text string) string {
	const most = 8000
	if len(text) <= most {
		return text
	}
	return "[…]" + strings.ToValidUTF8(text[len(text)-most:], "")
}

// demo restores the demo, whatever is left of it.
func (s *stage) demo(t *testing.T) {
	t.Helper()
	demo := exec.CommandContext(context.WithoutCancel(t.Context()), "go", "run", "./demo", "--helm="+s.helm)
	demo.Dir = filepath.Join(s.root, "hack")
	if said, err := demo.CombinedOutput(); err != nil {
		t.Errorf("restore the demo: %v\n%s", err, said)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
