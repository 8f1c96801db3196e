import os
import sys
import threading
import time

import scrapy
from scrapy.exceptions import CloseSpider, DontCloseSpider

from shop import stats


NOTHING = object()


class Shop(scrapy.Spider):
    """Crawls numbered pages of a local site, an item on each; `do` names what else happens on a page, by methods below."""

    name = "shop"

    def __init__(self, pages="12", do="", path="/page/", extra="", **arguments):
        super().__init__(**arguments)
        self.pages, self.path, self.extra = int(pages), path, extra
        self.act = [getattr(self, f"do_{name}") for name in do.split(",") if name]
        self.seen = 0

    @classmethod
    def from_crawler(cls, crawler, *args, **kwargs):
        spider = super().from_crawler(crawler, *args, **kwargs)
        if spider.extra == "construction":
            raise RuntimeError("no password for the shop was given")
        crawler.signals.connect(spider.opened, scrapy.signals.spider_opened)
        crawler.signals.connect(spider.about_to_close, scrapy.signals.spider_closed)
        return spider

    def opened(self):
        for key, value in stats.KINDS.get(self.extra, dict)().items():
            self.crawler.stats.set_value(key, value)

    def start_requests(self):
        for page in range(self.pages):
            url = self.path if "://" in self.path else os.environ["SITE"] + self.path
            yield scrapy.Request(f"{url}{page}")
        if self.extra == "start":
            raise RuntimeError("the list of pages ends too early")

    async def start(self):
        """What Scrapy 2.13 and newer call in place of start_requests()."""
        for request in self.start_requests():
            yield request

    def parse(self, response):
        self.seen += 1
        item = {"title": response.text, "url": response.url}
        for act in self.act:
            item = act(response, item) or item
        if item is not NOTHING:
            yield item

    def about_to_close(self):
        if self.extra == "noise":
            threading.Thread(target=self.noise, daemon=False).start()
        if self.extra == "lives-on":
            threading.Thread(target=time.sleep, args=[60]).start()
        if self.extra == "lives-on-loudly":
            threading.Thread(target=self.worker).start()

    def noise(self):
        """What a browser's driver leaves behind after the end: half a megabyte of errors."""
        time.sleep(0.5)
        for number in range(4000):
            print(f"Error: Protocol error (Page.navigate): Target closed {number}.\n"
                  f"    at CDPSession.send (/app/driver.js:{number})\n    at {{'item_scraped_count': 4711}}", file=sys.stderr)

    def worker(self):
        for number in range(600):
            time.sleep(0.1)
            print(f"worker: the queue is empty, poll {number}", file=sys.stderr, flush=True)

    # What happens on a page; what a method returns takes the item's place.

    def do_fail(self, response, item):
        raise ValueError("no price on this page")

    def do_fail_sometimes(self, response, item):
        if self.seen % 4 == 0:
            raise KeyError("price")

    def do_nothing(self, response, item):
        return NOTHING

    def do_log_error(self, response, item):
        self.logger.error("The price of %s could not be read", response.url)

    def do_stop_crawler(self, response, item):
        if self.seen == 5:
            self.crawler.stop()

    def do_stop_engine(self, response, item):
        if self.seen == 5:
            self.crawler.engine.stop()

    def do_close_engine(self, response, item):
        if self.seen == 5:
            self.crawler.engine.close_spider(self, "enough")

    def do_cancel(self, response, item):
        if self.seen == 5:
            raise CloseSpider()

    def do_own_reason(self, response, item):
        if self.seen == 5:
            raise CloseSpider("the shop's \"closed\"\nuntil tomorrow")

    def do_ban(self, response, item):
        if self.seen == 5:
            raise CloseSpider("bannedByShop")

    def do_spidermon(self, response, item):
        if self.seen == 5:
            raise CloseSpider("closed_by_spidermon")

    def do_hoard(self, response, item):
        self.hoard = getattr(self, "hoard", b"") + os.urandom(1) * (24 << 20)

    def do_print(self, response, item):
        print({"title": response.url, "price": 12}, flush=True)
        print('{"title": "a book", "price": 12.5, "message": "a dump: {\'item_scraped_count\': 3}"}', flush=True)
        print("scraped 4711 items, crawled 4711 pages", flush=True)

    def do_exit(self, response, item):
        if self.seen == 5:
            os._exit(3)

    def do_sys_exit(self, response, item):
        if self.seen == 5:
            sys.exit("no more pages")

    def do_spoil(self, response, item):
        """An item that no exporter of JSON can write."""
        return {**item, "price": object()} if self.seen == 3 else None

    def do_stay(self, response, item):
        """Keeps the spider open for a while, with nothing to do."""
        if self.seen == 1:
            until = time.time() + 3

            def idle():
                if time.time() < until:
                    raise DontCloseSpider

            self.idle = idle
            self.crawler.signals.connect(idle, scrapy.signals.spider_idle)


class Dropping(Shop):
    """Half of its items are sold out."""

    name = "dropping"

    def parse(self, response):
        for item in super().parse(response):
            yield {**item, "drop": self.seen % 2 == 0}
