# Runs a spider of a file as it runs in its project: python3 -c LAUNCHER NAME FILE [-a ARGUMENT=VALUE] [-s SETTING=VALUE] ...
# It is for Scrapy 2.8 and later. In Pods it stands without comments, blank lines and most of the indentation.
import sys

# With -c, Python looks for modules in the working directory first: a random.py in it would be everybody's random.
sys.path[:] = filter(None, sys.path)
import json, os, re, shutil
from importlib import util
from pathlib import Path

name, file, *options = sys.argv[1:]
file = Path(file).absolute()


def fail(why):
    try:
        open("/dev/termination-log", "r+").write(json.dumps({"error": why[:330]}))
    finally:
        sys.exit(why)


# getpass.getuser() asks for these before it looks into /etc/passwd, where the user of a Pod seldom is.
for key in "USER", "LOGNAME":
    os.environ.setdefault(key, "spider")

try:
    from scrapy import cmdline
    from scrapy.spiderloader import SpiderLoader
except ImportError as error:
    # PATH's scrapy says which Python it belongs to: behind "#!" or, where installers find that too long or with blanks in it,
    # behind an exec in the second line. -X says that this has been tried. /proc has LAUNCHER, too, which sys.argv has not.
    script = open(shutil.which("scrapy") or os.devnull, "rb").read()
    python = re.match(rb"""#! ?(?:\S*/env |/bin/sh\n'''exec' .?)?((?:/[^"\n]*/)?py[\w.-]*)""", script)
    if sys._xoptions or not python:
        fail(f"python3 cannot import Scrapy: {error}")
    os.execvp(python[1], [python[1], "-X1", *open("/proc/self/cmdline", "rb").read().split(b"\0")[1:-1]])

if file.suffix != ".py" or not file.is_file():
    fail(f"no Python file {file}; wrong working directory {os.getcwd()}?")

# The file's project is the nearest one above it. Scrapy looks for it above the working directory only.
for root in file.parents:
    if (root / "scrapy.cfg").exists():
        sys.path.append(str(root))
        if Path.cwd() in root.parents:
            os.chdir(root)
        break

# Below each folder of sys.path the file has another name. The one by which the project knows it comes first.
settings = cmdline.get_project_settings()
names = [".".join(file.relative_to(top).parts)[:-3] for top in sys.path if Path(top) in file.parents] or [file.stem]
for module in sorted(names, key=lambda m: not m.startswith(tuple(settings.getlist("SPIDER_MODULES")))):
    try:
        if file.samefile(util.find_spec(module).origin):
            break
    except Exception:
        pass
else:
    # Another module has that name (csv.py), or no module can have it (example.com.py), or the file is nobody's module.
    module = names[0][: -len(file.stem)] + "launched"
    sys.path.append(str(file.parent))
    spec = util.spec_from_file_location(module, file)
    sys.modules[module] = loaded = util.module_from_spec(spec)
    spec.loader.exec_module(loaded)

settings.update({"SPIDER_MODULES": [module], "SPIDER_LOADER_CLASS": SpiderLoader})
spiders = SpiderLoader(settings).list()
if name not in spiders:
    fail(f"{file} has no spider {name}, but {', '.join(spiders) or 'none'}")
# Outside of a project, too, crawl is to be a command.
cmdline.inside_project = lambda: True
sys.argv = ["scrapy", "crawl", name, *options]
cmdline.execute(settings=settings)
