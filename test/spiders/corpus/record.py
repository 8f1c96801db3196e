#!/usr/bin/python3
"""Runs every case of cases.py with the Scrapy that is installed here, and keeps what the processes wrote.

    record.py FOLDER [NAME...]

FOLDER/<Scrapy's version>/<name>.log (gzipped where it is long) and expected.json beside them, a line a log. What is expected was
measured by the run itself: see project/shop/truth.py. make.sh runs this in a root file system of every release.
"""

import gzip
import http.server
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import threading
import time

import scrapy

from cases import CASES

HERE = pathlib.Path(__file__).resolve().parent
SCRATCH = pathlib.Path("/tmp/corpus")
TRUTH = SCRATCH / "truth"
USER = 65532  # as the operator runs images; root could write anywhere
PORT = 8000
LONG = 12 << 10  # bytes, from which a log is kept gzipped
PATIENCE = 60  # seconds
OLDEST = "2.8.0"  # the version with which the cases are run, too, to which the version does not matter


class Site(http.server.BaseHTTPRequestHandler):
    """Pages of every kind that the spiders crawl."""

    delay = 0.0

    def do_GET(self):
        kind, _, rest = self.path.lstrip("/").partition("/")
        time.sleep(Site.delay)
        status = {"page": 200, "slow": 200, "redirect": 302}.get(kind, 0) or int(rest.partition("/")[0])
        body = f"book {rest}".encode()
        self.send_response(status)
        if kind == "redirect":
            self.send_header("Location", f"/page/{rest}")
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except ConnectionError:
            pass  # a spider that was killed

    def log_message(self, *arguments):
        pass


def command(case):
    if case.command is None:
        return ["scrapy", "crawl", "shop", "-s", f"LOG_LEVEL={case.level}", "-s", "LOGSTATS_INTERVAL=1", *case.arguments]
    first, *rest = case.command
    if first in ("several", "other"):
        return ["python3", f"{first}.py", *rest]
    return [*case.command, *case.arguments]


def run(case):
    """Starts the case and returns its log and exit code."""
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(SCRATCH / "home"), "LC_ALL": "C.UTF-8", "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1", "SITE": f"http://127.0.0.1:{PORT}", "TRUTH": str(TRUTH), "SHOP_LOG": case.look,
    }
    Site.delay = case.delay
    process = subprocess.Popen(command(case), cwd=HERE / "project", env=environment, user=USER, group=USER, extra_groups=[],
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    watchdog = threading.Timer(PATIENCE, process.kill)
    watchdog.start()
    log, waited, seen = b"", list(case.signals), 0
    while block := os.read(process.stdout.fileno(), 64 << 10):
        log += block
        # Only what came after the last signal is looked at: "Received SIGTERM" comes twice.
        while waited and (match := re.search(waited[0][0].encode(), log[seen:])):
            seen += match.end()
            process.send_signal(waited.pop(0)[1])
    code = process.wait()
    watchdog.cancel()
    if waited:
        raise SystemExit(f"{case.name}: never said {waited[0][0]}:\n{log.decode(errors='replace')}")
    if case.through:
        log = subprocess.run(["sh", "-c", case.through], input=log, stdout=subprocess.PIPE, check=True).stdout
    # What names this machine.
    return re.sub(rb"Linux-[^ ]*?(x86_64|aarch64)", rb"Linux-\1", log), code


def measured():
    """What the crawls of a run measured of themselves: the last of each kind of event, a crawl each, in the order of opening."""
    crawls = {}
    for line in TRUTH.read_text().splitlines() if TRUTH.exists() else []:
        event = json.loads(line)
        crawls.setdefault(event["crawl"], {})[event["event"]] = event
    return list(crawls.values())


def complete(feed, items):
    """Whether a feed holds every item that was scraped."""
    path = pathlib.Path(feed)
    path = path if path.is_absolute() else HERE / "project" / path
    return path.exists() and len(path.read_text().splitlines()) == items


NUMBERS = ("items", "responses", "errors", "requests", "retries", "failed", "dropped",
           "status2xx", "status3xx", "status4xx", "status5xx", "elapsed")


def expected(case, code):
    """What somebody who reads the log, and can read anything, knows of the run."""
    crawls = [crawl for crawl in measured() if "opened" in crawl]
    dumped = [crawl["dump"] for crawl in crawls if "dump" in crawl]
    going = [crawl["progress"] for crawl in crawls if "dump" not in crawl and "progress" in crawl]
    counts, reason_seen = case.counts, case.reason_seen
    if counts == "whatever":
        counts, reason_seen = ("dump", True) if dumped else ("progress", False)
    final = counts == "dump"
    sources = {"dump": dumped, "progress": going, "partial": dumped + going, "none": []}[counts]
    if final and len(dumped) != len(crawls):
        raise SystemExit(f"{case.name}: {len(crawls)} crawls opened and {len(dumped)} dumped")
    numbers = {}
    for name in NUMBERS:
        if not sources or (not final and name not in ("items", "responses")):
            numbers[name] = None
        elif name == "elapsed":
            numbers[name] = max(source[name] for source in sources)
        else:
            numbers[name] = sum(source.get(name, 0) for source in sources)
    ends = [crawl.get("dump") or crawl.get("closed") for crawl in crawls if "dump" in crawl or "closed" in crawl]
    reasons = [end["reason"] for end in ends] if reason_seen else []
    bad = [reason for reason in reasons if reason != "finished"]
    truly = max([event.get("items", 0) for crawl in crawls for event in crawl.values()], default=0)
    return {
        "about": case.about, "exitCode": code, "crawls": len(crawls), "counts": counts, "final": final,
        "reason": (bad or reasons or [None])[0], "reasons": reasons,
        "signal": any(number in (2, 15) for _, number in case.signals),
        "feedFailed": any(not complete(feed, truly) for feed in case.feeds),
        "livesOn": case.lives_on, **numbers,
    }


def main(folder, *names):
    version = scrapy.__version__
    logs = pathlib.Path(folder) / ".".join(version.split(".")[:2])
    logs.mkdir(parents=True, exist_ok=True)
    site = http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Site)
    site.daemon_threads = True
    threading.Thread(target=site.serve_forever, daemon=True).start()
    table = logs / "expected.json"
    rows = {row["log"]: row for row in json.loads(table.read_text())} if names and table.exists() else {}
    shared = None
    for case in CASES:
        if case.name not in names if names else not case.everywhere and version != OLDEST:
            continue
        if not case.shared or case.shared != shared:
            shutil.rmtree(SCRATCH, ignore_errors=True)
            (SCRATCH / "home").mkdir(parents=True)
            for path in (SCRATCH, SCRATCH / "home"):
                os.chown(path, USER, USER)
        shared = case.shared
        TRUTH.unlink(missing_ok=True)
        log, code = run(case)
        name = f"{case.name}.log"
        for old in (name, f"{name}.gz"):
            (logs / old).unlink(missing_ok=True)
            rows.pop(old, None)
        if len(log) >= LONG:
            name += ".gz"
            (logs / name).write_bytes(gzip.compress(log, mtime=0))
        else:
            (logs / name).write_bytes(log)
        row = {"log": name, "scrapy": version, **expected(case, code)}
        rows[name] = row
        print(f"{version} {name}: {len(log)} bytes, exit code {code}, items {row['items']}, reason {row['reason']}", flush=True)
    lines = ",\n".join(json.dumps(rows[name], ensure_ascii=False) for name in sorted(rows))
    table.write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
