#!/usr/bin/python3
"""Runs real Scrapy spiders and keeps what they wrote in logs/, the corpus of the tests of this package.

Needs Scrapy (apt install python3-scrapy) and takes less than a minute. The numbers in log_test.go are those of these runs:

    controllers/stats/testdata/record.py

What names this machine is taken out of the logs. Besides that they are as the processes wrote them.
"""

import http.server
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

import scrapy
from scrapy.exceptions import CloseSpider

HERE = pathlib.Path(__file__).resolve()
LOGS = HERE.parent / "logs"


class Shop(scrapy.Spider):
    """Crawls a site of numbered pages, an item on each; the arguments make things happen."""

    name = "shop"
    custom_settings = {"TELNETCONSOLE_ENABLED": False, "CONCURRENT_REQUESTS": 4}

    def start_requests(self):
        for page in range(int(getattr(self, "pages", 25))):
            yield scrapy.Request(f"{self.site}/page/{page}", callback=self.parse)

    def parse(self, response):
        if hasattr(self, "failing"):
            raise ValueError("no price on this page")
        if hasattr(self, "reason"):
            raise CloseSpider(self.reason)
        if hasattr(self, "printing"):
            print({"title": response.url, "price": 12}, flush=True)
            print('{"title": "a book", "price": 12.5}', flush=True)
        if hasattr(self, "hoarding"):
            self.hoard = getattr(self, "hoard", b"") + b"x" * (10 << 20)
        if hasattr(self, "empty"):
            return
        yield {"title": response.text}

    @classmethod
    def from_crawler(cls, crawler, *args, **kwargs):
        spider = super().from_crawler(crawler, *args, **kwargs)
        if hasattr(spider, "broken"):
            raise RuntimeError("cannot be constructed")
        if hasattr(spider, "odd"):
            for key, value in odd_stats().items():
                crawler.stats.set_value(key, value)
        return spider


def odd_stats():
    """Stats that take more of Python's syntax than Scrapy's own do."""
    import collections
    import datetime
    import decimal

    return {
        "a long text": "the quick brown fox jumps over the lazy dog " * 6,
        "a text with 'single' quotes": "it's",
        'both "kinds" of \'quotes\'': "it's a \"quote\"",
        "bytes": b"\x00\xffbytes",
        "class": int,
        "counter": collections.Counter("spider"),
        "decimal": decimal.Decimal("12.50"),
        "default": collections.defaultdict(list, {"a": [1, 2], "b": []}),
        "delta": datetime.timedelta(days=1, seconds=7),
        "floats": [1.5, 1e-07, float("inf"), float("nan"), -2.0, 1 + 2j],
        "function": odd_stats,
        "item_scraped_count_per_shop": {f"shop {n}": {"item_scraped_count": n} for n in range(8)},
        "nested": {"item_scraped_count": 99999, "tuple": (1,), "set": {1}, "frozen": frozenset({2}), "empty": set()},
        "lines": "first\nsecond\r\nitem_scraped_count': 5,\n",
        "unicode": "книга \u2028 \U0001f4da \ud800 \x1b[31m",
        "when": datetime.datetime(2026, 11, 23, tzinfo=datetime.timezone.utc),
        ("a", "tuple"): None,
        7: True,
    }


class Pages(http.server.BaseHTTPRequestHandler):
    delay = 0.0

    def do_GET(self):
        time.sleep(self.delay)
        body = b"book"
        self.send_response(200 if self.path.startswith("/page/") else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


SEVERAL = """
import sys
from twisted.internet import reactor
from scrapy.crawler import CrawlerRunner
from scrapy.utils.log import configure_logging
from record import Shop
configure_logging()
runner = CrawlerRunner({"LOG_LEVEL": "INFO", "LOGSTATS_INTERVAL": 1, "DOWNLOAD_DELAY": float(sys.argv[2])})
first = runner.crawl(Shop, site=sys.argv[1], pages=20)
if sys.argv[3] == "sequential":
    first.addBoth(lambda _: runner.crawl(Shop, site=sys.argv[1], pages=6)).addBoth(lambda _: reactor.stop())
else:
    runner.crawl(Shop, site=sys.argv[1], pages=6)
    runner.join().addBoth(lambda _: reactor.stop())
reactor.run()
"""


def main():
    LOGS.mkdir(exist_ok=True)
    site = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    threading.Thread(target=site.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{site.server_port}"
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "record.py").write_text(HERE.read_text())

        def keep(name, command, *, delay=0.0, signals=()):
            Pages.delay = delay
            environment = {"PATH": os.environ["PATH"], "HOME": folder, "PYTHONUNBUFFERED": "1"}
            process = subprocess.Popen(command, cwd=folder, env=environment,
                                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            for after, number in signals:
                threading.Timer(after, process.send_signal, [number]).start()
            log = process.communicate(timeout=60)[0].decode(errors="surrogateescape")
            log = log.replace(folder, "/app").replace(url, "http://site")
            log = "".join(line for line in log.splitlines(keepends=True)
                          if not re.search(r"INFO: Versions: |Platform Linux", line))
            (LOGS / f"{name}.log").write_text(log, errors="surrogateescape")
            print(f"{name}: exit code {process.returncode}, {len(log)} bytes", flush=True)

        def run(name, *arguments, level="INFO", **how):
            keep(name, ["scrapy", "runspider", "record.py", "-a", f"site={url}", "-s", f"LOG_LEVEL={level}",
                        "-s", "LOGSTATS_INTERVAL=1", *arguments], **how)

        slow = ["-a", "pages=400", "-s", "DOWNLOAD_DELAY=0.05"]
        run("finished")
        run("finished-debug", level="DEBUG")
        run("progress", *slow, signals=[(5, signal.SIGKILL)])
        run("shutdown", *slow, signals=[(4, signal.SIGTERM)])
        run("closespider-errorcount", "-a", "failing=1", "-a", "pages=8", "-s", "CLOSESPIDER_ERRORCOUNT=3")
        run("closespider-itemcount", "-s", "CLOSESPIDER_ITEMCOUNT=10")
        run("closespider-own", "-a", "reason=shop's \"closed\"\nuntil tomorrow")
        run("memusage", *slow, "-a", "hoarding=1", "-s", "MEMUSAGE_LIMIT_MB=150", "-s", "MEMUSAGE_CHECK_INTERVAL_SECONDS=1")
        run("no-items", "-a", "empty=1")
        run("no-pages", "-a", "pages=0")
        run("odd-stats", "-a", "odd=1")
        run("printing", "-a", "printing=1")
        run("construction-fails", "-a", "broken=1")
        run("format-bare", "-s", "LOG_FORMAT=%(message)s")
        run("format-around", "-s", "LOG_FORMAT=\x1b[32m%(levelname)s %(message)s\x1b[0m [%(name)s] %(asctime)s",
            "-s", "LOG_DATEFORMAT=%d/%b/%Y")
        run("no-dump", "-s", "STATS_DUMP=False")
        run("no-corestats", "-s", 'EXTENSIONS={"scrapy.extensions.corestats.CoreStats": null}')
        run("level-error", level="ERROR")
        for order in "sequential", "parallel":
            keep(f"several-{order}", [sys.executable, "-c", SEVERAL, url, "0.1", order])


if __name__ == "__main__":
    main()
