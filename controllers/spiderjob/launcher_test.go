package spiderjob

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/stats"
)

// These tests run the launcher under a real Python, with a stand-in for Scrapy. With TEST_SCRAPY_PYTHON, a Python that can import
// a real Scrapy, they run with that.

// stubScrapy is as much of Scrapy as the launcher and the spiders below need.
var stubScrapy = map[string]string{
	"scrapy/__init__.py": `
class Spider:
    name = None

    def __init__(self, **arguments):
        self.__dict__.update(arguments)
`,
	"scrapy/spiderloader.py": `
import importlib, inspect
from scrapy import Spider


class SpiderLoader:
    def __init__(self, settings):
        self.spiders = {}
        for name in settings.getlist("SPIDER_MODULES"):
            module = importlib.import_module(name)
            for cls in list(vars(module).values()):
                if inspect.isclass(cls) and issubclass(cls, Spider) and cls.__module__ == module.__name__ and cls.name:
                    self.spiders[cls.name] = cls

    def list(self):
        return list(self.spiders)
`,
	"scrapy/cmdline.py": `
import configparser, importlib, os, sys


class Settings(dict):
    def getlist(self, name):
        value = self.get(name) or []
        return value.split(",") if isinstance(value, str) else list(value)


def cfg():
    folder = os.getcwd()
    while not os.path.exists(os.path.join(folder, "scrapy.cfg")):
        if folder == "/":
            return ""
        folder = os.path.dirname(folder)
    return os.path.join(folder, "scrapy.cfg")


def inside_project():
    return "SCRAPY_SETTINGS_MODULE" in os.environ or bool(cfg())


def get_project_settings():
    parser = configparser.ConfigParser()
    parser.read([cfg()] if cfg() else [])
    module = os.environ.get("SCRAPY_SETTINGS_MODULE")
    if not module and parser.has_option("settings", "default"):
        sys.path.append(os.path.dirname(cfg()))
        module = parser.get("settings", "default")
    values = vars(importlib.import_module(module)) if module else {}
    return Settings({k: v for k, v in values.items() if k.isupper()})


def execute(settings):
    assert inside_project(), "Unknown command: crawl"
    command, name, *options = sys.argv[1:]
    assert command == "crawl"
    arguments = {}
    for option, text in zip(options[::2], options[1::2]):
        key, value = text.split("=", 1)
        if option == "-a":
            arguments[key] = value
        else:
            settings[key] = value
    loader = settings["SPIDER_LOADER_CLASS"](settings)
    loader.spiders[name](**arguments)
`,
}

// witness makes a spider tell how it was run.
const witness = `
import getpass, json, os, sys
import scrapy


class Witness(scrapy.Spider):
    def __init__(self, *args, **arguments):
        super().__init__(*args, **arguments)
        print(json.dumps({
            "class": type(self).__name__, "module": type(self).__module__, "cwd": os.getcwd(), "user": getpass.getuser(),
            "argv": sys.argv[1:], "text": getattr(self, "text", ""), "said": self.say(),
        }))

    def say(self):
        return ""
`

// account is what a Witness tells.
type account struct{ Class, Module, Cwd, User, Text, Said string }

// project is a project as "scrapy startproject" lays it out, and what people then do to it.
var project = map[string]string{
	"app/scrapy.cfg":                "[settings]\ndefault = shop.settings\n",
	"app/shop/__init__.py":          "",
	"app/shop/settings.py":          "SPIDER_MODULES = ['shop.spiders']\nGREETING = 'hello'\n",
	"app/shop/own.py":               "SPIDER_MODULES = 'shop.spiders'\nSPIDER_LOADER_CLASS = 'shop.loader.Loader'\n",
	"app/shop/items.py":             "GREETING = 'of the package'\n",
	"app/shop/witness.py":           witness,
	"app/shop/spiders/__init__.py":  "",
	"app/shop/spiders/relative.py":  "from ..items import GREETING\nfrom ..witness import Witness\nclass Relative(Witness):\n    name = 'relative'\n    def say(self):\n        return GREETING\n",
	"app/shop/spiders/two.py":       "from shop.witness import Witness\nclass First(Witness):\n    name = 'first'\nclass Second(Witness):\n    name = 'Größe 2'\n",
	"app/shop/spiders/csv.py":       "from ..witness import Witness\nimport csv\nclass Csv(Witness):\n    name = 'csv'\n    def say(self):\n        return csv.reader.__name__\n",
	"app/shop/spiders/a.example.py": "from ..witness import Witness\nclass Dotted(Witness):\n    name = 'a.example'\n",
	"app/shop/spiders/broken.py":    "from . import nothing_of_the_kind\n",
	"app/shop/spiders/empty.py":     "",
	"app/shop/spiders/many.py":      "import scrapy\nfor i in range(100):\n    globals()[f'S{i}'] = type(f'S{i}', (scrapy.Spider,), {'name': '🕷' * 120 + str(i)})\n",
	"app/outside/alone.py":          "from shop.witness import Witness\nclass Alone(Witness):\n    name = 'alone'\n",
	"app/random.py":                 "raise Exception('a file of the working directory was taken for a module')\n",
	"app/json.py":                   "raise Exception('a file of the working directory was taken for a module')\n",
	"app/work/below/it.txt":         "",
}

// loneFiles are spiders without a project.
var loneFiles = map[string]string{
	"lone/witness.py":     witness,
	"lone/two.py":         "from witness import Witness\nclass First(Witness):\n    name = 'first'\nclass Second(Witness):\n    name = 'second'\n",
	"lone/csv.py":         "from witness import Witness\nclass Csv(Witness):\n    name = 'csv'\n",
	"lone/example.com.py": "from witness import Witness\nclass Dotted(Witness):\n    name = 'dotted'\n",
}

func TestLauncher(t *testing.T) {
	for _, c := range []struct {
		name          string
		workingDir    string
		file          string
		spider        string
		env           []string
		want          account
		wantDirectory string
	}{
		{name: "relative imports", workingDir: "app", file: "shop/spiders/relative.py", spider: "relative",
			want: account{Class: "Relative", Module: "shop.spiders.relative", Said: "of the package"}, wantDirectory: "app"},
		{name: "the first of two in a file", workingDir: "app", file: "shop/spiders/two.py", spider: "first",
			want: account{Class: "First", Module: "shop.spiders.two"}, wantDirectory: "app"},
		{name: "the second, of an unusual name", workingDir: "app", file: "shop/spiders/two.py", spider: "Größe 2",
			want: account{Class: "Second", Module: "shop.spiders.two"}, wantDirectory: "app"},
		{name: "a file named as a module of Python", workingDir: "app", file: "shop/spiders/csv.py", spider: "csv",
			want: account{Class: "Csv", Module: "shop.spiders.csv", Said: "reader"}, wantDirectory: "app"},
		{name: "a file with dots in its name", workingDir: "app", file: "shop/spiders/a.example.py", spider: "a.example",
			want: account{Class: "Dotted", Module: "shop.spiders.launched"}, wantDirectory: "app"},
		{name: "a project below the working directory", workingDir: "", file: "app/shop/spiders/relative.py", spider: "relative",
			want: account{Class: "Relative", Module: "shop.spiders.relative", Said: "of the package"}, wantDirectory: "app"},
		{name: "a working directory below the project", workingDir: "app/shop/spiders", file: "relative.py", spider: "relative",
			want: account{Class: "Relative", Module: "shop.spiders.relative", Said: "of the package"}, wantDirectory: "app/shop/spiders"},
		{name: "a file outside of the project's package", workingDir: "app", file: "outside/alone.py", spider: "alone",
			want: account{Class: "Alone", Module: "outside.alone"}, wantDirectory: "app"},
		{name: "a package that is in sys.path itself", workingDir: "app", file: "shop/spiders/relative.py", spider: "relative",
			env:  []string{"PYTHONPATH=ROOT/app/shop"},
			want: account{Class: "Relative", Module: "shop.spiders.relative", Said: "of the package"}, wantDirectory: "app"},
		{name: "a folder above the project in sys.path", workingDir: "app", file: "shop/spiders/relative.py", spider: "relative",
			env:  []string{"PYTHONPATH=ROOT"},
			want: account{Class: "Relative", Module: "shop.spiders.relative", Said: "of the package"}, wantDirectory: "app"},
		{name: "a project by its settings module", workingDir: "installed", file: "shop/spiders/relative.py", spider: "relative",
			env:  []string{"PYTHONPATH=ROOT/installed", "SCRAPY_SETTINGS_MODULE=shop.settings"},
			want: account{Class: "Relative", Module: "shop.spiders.relative", Said: "of the package"}, wantDirectory: "installed"},
		{name: "a project with a loader of its own", workingDir: "app", file: "shop/spiders/two.py", spider: "first",
			env:  []string{"SCRAPY_SETTINGS_MODULE=shop.own"},
			want: account{Class: "First", Module: "shop.spiders.two"}, wantDirectory: "app"},
		{name: "a lone file", workingDir: "lone", file: "two.py", spider: "first",
			want: account{Class: "First", Module: "launched"}, wantDirectory: "lone"},
		{name: "a lone file below the working directory", workingDir: "", file: "lone/two.py", spider: "second",
			want: account{Class: "Second", Module: "launched"}, wantDirectory: ""},
		{name: "a lone file named as a module of Python", workingDir: "lone", file: "csv.py", spider: "csv",
			want: account{Class: "Csv", Module: "launched"}, wantDirectory: "lone"},
		{name: "a lone file with dots in its name", workingDir: "lone", file: "example.com.py", spider: "dotted",
			want: account{Class: "Dotted", Module: "launched"}, wantDirectory: "lone"},
		{name: "an environment with a user", workingDir: "lone", file: "two.py", spider: "first", env: []string{"LOGNAME=robot"},
			want: account{Class: "First", Module: "launched", User: "robot"}, wantDirectory: "lone"},
	} {
		t.Run(c.name, func(t *testing.T) {
			run := newLaunch(t)
			got := run.account(t, c.workingDir, c.env, c.spider, c.file, "-a", "text=$HOME `$(id)` 'ü\n\"", "-s", "LOG_LEVEL=ERROR")
			want := c.want
			want.Cwd, want.Text = filepath.Join(run.root, c.wantDirectory), "$HOME `$(id)` 'ü\n\""
			if want.User == "" {
				want.User = userName
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("how the spider was run (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLauncherExplainsMistakes(t *testing.T) {
	for _, c := range []struct {
		name, workingDir, file, spider string
		want                           []string
	}{
		{"no such spider", "app", "shop/spiders/two.py", "third", []string{"two.py has no spider third, but first, Größe 2"}},
		{"no spider at all", "app", "shop/spiders/empty.py", "third", []string{"empty.py has no spider third, but none"}},
		{"more names than a termination message holds", "app", "shop/spiders/many.py", "third", []string{"has no spider third, but 🕷🕷"}},
		{"names are compared to the letter", "app", "shop/spiders/two.py", "First", []string{"has no spider First, but first, Größe 2"}},
		{"no such file", "app", "spiders/two.py", "first", []string{"no Python file ROOT/app/spiders/two.py", "wrong working directory ROOT/app?"}},
		{"a folder", "app", "shop/spiders", "first", []string{"no Python file ROOT/app/shop/spiders"}},
		{"no Python", "app", "scrapy.cfg", "first", []string{"no Python file ROOT/app/scrapy.cfg"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			run := newLaunch(t)
			message := run.failure(t, c.workingDir, c.spider, c.file)
			counts, ok := stats.ParseTerminationMessage(message)
			if !ok || counts.Failure == "" {
				t.Fatalf("the termination message is no failure: %q", message)
			}
			for _, want := range c.want {
				if want = strings.ReplaceAll(want, "ROOT", run.root); !strings.Contains(counts.Failure, want) {
					t.Errorf("the termination message %q does not say %q", counts.Failure, want)
				}
			}
		})
	}
	t.Run("an import that fails is Python's to tell", func(t *testing.T) {
		run := newLaunch(t)
		if message := run.failure(t, "app", "broken", "shop/spiders/broken.py"); message != "" {
			t.Errorf("the termination message is %q", message)
		}
	})
}

// TestLauncherFindsThePythonOfScrapy has images in which PATH's python3 is not the one that Scrapy is installed for.
func TestLauncherFindsThePythonOfScrapy(t *testing.T) {
	for name, script := range map[string]string{
		"first line":              "#!VENV/bin/python3.11\nimport sys\n",
		"first line with options": "#! VENV/bin/python3.11 -s\nimport sys\n",
		"by env":                  "#!/usr/bin/env python3.11\nimport sys\n",
		"a long path, by pip":     "#!/bin/sh\n'''exec' VENV/bin/python3.11 \"$0\" \"$@\"\n' '''\nimport sys\n",
		"blanks, by pip":          "#!/bin/sh\n'''exec' \"VENV/a b/python3.11\" \"$0\" \"$@\"\n' '''\nimport sys\n",
		"blanks, by uv":           "#!/bin/sh\n'''exec' 'VENV/a b/python3.11' \"$0\" \"$@\"\n' '''\nimport sys\n",
	} {
		t.Run(name, func(t *testing.T) {
			run := newLaunch(t)
			venv := run.withoutScrapy(t)
			write(t, venv, map[string]string{"bin/scrapy": strings.ReplaceAll(script, "VENV", venv)})
			got := run.account(t, "lone", nil, "first", "two.py", "-a", "text="+"\xff$X ")
			if got.Class != "First" || got.Text != "\ufffd$X " {
				t.Errorf("the spider was run as %+v", got)
			}
		})
	}
	for name, script := range map[string]string{
		"no scrapy at all": "", "a shell": "#!/usr/bin/env bash\nexec nothing\n", "a program": "\x7fELF\x00\xff",
		"a Python without Scrapy": "#!/usr/bin/env python3\nimport scrapy\n",
	} {
		t.Run(name, func(t *testing.T) {
			run := newLaunch(t)
			venv := run.withoutScrapy(t)
			if script != "" {
				write(t, venv, map[string]string{"bin/scrapy": script})
			}
			if message := run.failure(t, "lone", "first", "two.py"); !strings.Contains(message, "cannot import Scrapy") {
				t.Errorf("the termination message is %q", message)
			}
		})
	}
}

func TestLauncherIsSmall(t *testing.T) {
	if size := len(literal(launcher)); size > maxLauncher {
		t.Errorf("the launcher is %d bytes, more than %d", size, maxLauncher)
	}
	if strings.Contains(launcher, "#  ") || strings.Contains(launcher, "\n\n") {
		t.Error("the launcher has comments or blank lines")
	}
}

func TestUserNameIsSetUnlessSomethingElseMaySetIt(t *testing.T) {
	from := func(prefix string) []corev1.EnvFromSource { return []corev1.EnvFromSource{{Prefix: prefix}} }
	for _, c := range []struct {
		name      string
		change    func(*v1alpha1.SpiderSpec)
		user, log string
	}{
		{"by name", nil, userName, userName},
		{"a command", func(s *v1alpha1.SpiderSpec) { s.Command = []string{"/crawl"} }, userName, userName},
		{"by file: the launcher does it", func(s *v1alpha1.SpiderSpec) { s.RepoPath = "a.py" }, "", ""},
		{"its own", func(s *v1alpha1.SpiderSpec) { s.Pod.Env = []corev1.EnvVar{{Name: "USER", Value: "robot"}} }, "robot", userName},
		{"anything may come", func(s *v1alpha1.SpiderSpec) { s.Pod.EnvFrom = from("") }, "", ""},
		{"USER may come", func(s *v1alpha1.SpiderSpec) { s.Pod.EnvFrom = from("US") }, "", userName},
		{"neither can come", func(s *v1alpha1.SpiderSpec) { s.Pod.EnvFrom = from("SHOP_") }, userName, userName},
	} {
		t.Run(c.name, func(t *testing.T) {
			spider := makeSpider()
			if c.change != nil {
				c.change(&spider.Spec)
			}
			template, _ := build(t, makeSpiderJob().SpiderJob, spider)
			if user, log := envOf(template, "USER"), envOf(template, "LOGNAME"); user != c.user || log != c.log {
				t.Errorf("USER=%q LOGNAME=%q, want %q and %q", user, log, c.user, c.log)
			}
		})
	}
}

// launch is a folder with projects, and a Python to run the launcher in it.
type launch struct {
	root, python, message string
	env                   []string
}

func newLaunch(t *testing.T) *launch {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	l := &launch{root: root, python: os.Getenv("TEST_SCRAPY_PYTHON"), message: filepath.Join(root, "termination-log")}
	l.env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + root, "PYTHONDONTWRITEBYTECODE=1"}
	if l.python == "" {
		out, err := exec.CommandContext(t.Context(), "python3", "-c", "import sys; print(sys.executable)").Output()
		if err != nil {
			t.Fatalf("these tests need python3: %v", err)
		}
		l.python = strings.TrimSpace(string(out))
		write(t, filepath.Join(root, "stub"), stubScrapy)
		l.env = append(l.env, "PYTHONPATH="+filepath.Join(root, "stub"))
	}
	write(t, root, project)
	write(t, root, loneFiles)
	installed := map[string]string{}
	for name, text := range project {
		if rest, ok := strings.CutPrefix(name, "app/shop/"); ok {
			installed["installed/shop/"+rest] = text
		}
	}
	write(t, root, installed)
	write(t, root, map[string]string{"termination-log": ""})
	return l
}

// withoutScrapy makes PATH's python3 one that cannot import Scrapy, and its other Pythons ones that can. It returns the folder of
// the latter, of which bin is in PATH.
func (l *launch) withoutScrapy(t *testing.T) string {
	t.Helper()
	venv := filepath.Join(l.root, "venv")
	able := "unset PYTHONPATH"
	if i := slices.IndexFunc(l.env, func(e string) bool { return strings.HasPrefix(e, "PYTHONPATH=") }); i >= 0 {
		able = "export " + l.env[i]
		l.env = slices.Delete(l.env, i, i+1)
	}
	script := func(set string) string { return "#!/bin/sh\n" + set + "\nexec '" + l.python + "' \"$@\"\n" }
	write(t, venv, map[string]string{
		"bin/python3": script("export PYTHONPATH=" + venv + "/none"), "none/scrapy.py": "raise ImportError('not here')\n",
		"bin/python3.11": script(able), "a b/python3.11": script(able),
	})
	l.env[0] = "PATH=" + filepath.Join(venv, "bin") + ":/usr/bin:/bin"
	l.python = filepath.Join(venv, "bin", "python3")
	return venv
}

// run runs the launcher as a Pod does.
func (l *launch) run(
	ctx context.Context, workingDir string, env []string, arguments ...string,
) (stdout, stderr string, err error) {
	program := strings.ReplaceAll(launcher, "/dev/termination-log", l.message)
	cmd := exec.CommandContext(ctx, l.python, append([]string{"-c", program}, arguments...)...)
	cmd.Dir = filepath.Join(l.root, workingDir)
	cmd.Env = slices.Clone(l.env)
	for _, e := range env {
		e = strings.ReplaceAll(e, "ROOT", l.root)
		if i := slices.IndexFunc(cmd.Env, func(had string) bool { return strings.HasPrefix(had, "PYTHONPATH=") }); i >= 0 &&
			strings.HasPrefix(e, "PYTHONPATH=") {
			e = cmd.Env[i] + ":" + strings.TrimPrefix(e, "PYTHONPATH=")
		}
		cmd.Env = append(cmd.Env, e)
	}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

// account runs a spider, which must succeed, and returns what it tells.
func (l *launch) account(t *testing.T, workingDir string, env []string, arguments ...string) account {
	t.Helper()
	stdout, stderr, err := l.run(t.Context(), workingDir, env, arguments...)
	if err != nil {
		t.Fatalf("the launcher failed (%v):\n%s%s", err, stdout, stderr)
	}
	var reported account
	if err := json.Unmarshal([]byte(stdout), &reported); err != nil {
		t.Fatalf("the spider printed %q (%v)\n%s", stdout, err, stderr)
	}
	return reported
}

// failure runs what must fail, and returns the termination message.
func (l *launch) failure(t *testing.T, workingDir string, arguments ...string) string {
	t.Helper()
	stdout, stderr, err := l.run(t.Context(), workingDir, nil, arguments...)
	if _, exited := errors.AsType[*exec.ExitError](err); !exited {
		t.Fatalf("the launcher did not fail (%v):\n%s%s", err, stdout, stderr)
	}
	message, err := os.ReadFile(l.message)
	if err != nil {
		t.Fatal(err)
	}
	return string(message)
}

// write makes files, which can be run, below a folder.
func write(t *testing.T, folder string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
}
