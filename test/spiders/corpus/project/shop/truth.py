"""What truly happened in a crawl, measured beside Scrapy's statistics and written to the file that TRUTH names.

Each line is a JSON object with all that is known so far; its `event` is opened, progress, dump or closed. Items and responses are
counted by Scrapy's signals, errors by a log handler, what went over the wire by a downloader middleware next to the downloader.
"""

import collections
import itertools
import json
import logging
import os
import time

from scrapy import signals
from scrapy.utils.log import LogCounterHandler


class Counts(logging.Handler):
    """The counts of one crawl."""

    numbers = itertools.count()

    def __init__(self, crawler):
        super().__init__()
        self.crawler = crawler
        self.number = next(self.numbers)
        self.counts = collections.Counter()
        self.reason = None
        self.started = None
        self.dumped = False

    def emit(self, record):
        spider = getattr(record, "spider", None)
        if spider is not None and self.crawler.spider is not None and spider is not self.crawler.spider:
            return
        if record.levelno == logging.ERROR and not self.dumped and scrapy_listens():
            self.counts["errors"] += 1
        message = str(record.msg)
        if message.startswith("Crawled %(pages)d pages"):
            self.write("progress")
        elif message.startswith("Dumping Scrapy stats"):
            # The dump's own counts are those of this moment.
            self.dumped = True
            self.write("dump")

    def write(self, event):
        if "TRUTH" not in os.environ:
            return
        known = {
            "event": event,
            "crawl": self.number,
            "spider": self.crawler.spidercls.name,
            "reason": self.reason,
            "elapsed": None if self.started is None else round(time.time() - self.started, 3),
            **self.counts,
        }
        with open(os.environ["TRUTH"], "a") as file:
            file.write(json.dumps(known) + "\n")


def scrapy_listens():
    """Whether Scrapy counts what is logged now. From 2.14 on it does so between the signals of opening and closing only."""
    return any(isinstance(handler, LogCounterHandler) for handler in logging.getLogger().handlers)


def counts_of(crawler):
    if not hasattr(crawler, "truth"):
        crawler.truth = Counts(crawler)
    return crawler.truth


class Truth:
    """The extension that counts what Scrapy signals."""

    @classmethod
    def from_crawler(cls, crawler):
        extension = cls()
        extension.truth = counts_of(crawler)
        # Before the handler that writes the log: whoever kills the process by what it reads there finds this written.
        logging.getLogger().handlers.insert(0, extension.truth)
        for name in "spider_opened", "spider_closed", "engine_stopped", "item_scraped", "item_dropped", "response_received":
            crawler.signals.connect(getattr(extension, name), getattr(signals, name))
        return extension

    def spider_opened(self):
        self.truth.started = time.time()
        self.truth.write("opened")

    def spider_closed(self, reason):
        self.truth.reason = str(reason)

    def engine_stopped(self):
        self.truth.write("closed")
        logging.getLogger().removeHandler(self.truth)

    def item_scraped(self):
        self.truth.counts["items"] += 1

    def item_dropped(self):
        self.truth.counts["dropped"] += 1

    def response_received(self):
        self.truth.counts["responses"] += 1


class Wire:
    """The middleware that counts what goes over the wire."""

    @classmethod
    def from_crawler(cls, crawler):
        middleware = cls()
        middleware.counts = counts_of(crawler).counts
        return middleware

    def process_request(self, request, spider=None):
        self.counts["requests"] += 1
        if request.meta.get("retry_times"):
            self.counts["retries"] += 1

    def process_response(self, request, response, spider=None):
        self.counts[f"status{response.status // 100}xx"] += 1
        return response

    def process_exception(self, request, exception, spider=None):
        self.counts["failed"] += 1
