import os
import signal
import subprocess

import scrapy


class Shop(scrapy.Spider):
    """Pages that need no server: their text is in their URL."""

    name = "shop"

    def start_requests(self):
        for page in range(int(getattr(self, "pages", 12))):
            yield scrapy.Request(f"data:text/plain,book%20{page}")

    def parse(self, response):
        yield {"title": response.text}


class Priced(Shop):
    """Needs a package that the image's user has installed for himself."""

    name = "priced"

    def parse(self, response):
        from pricetools import price

        for item in super().parse(response):
            yield {**item, "price": price(item["title"])}


class Stubborn(Shop):
    """Takes no notice of a SIGTERM."""

    name = "stubborn"

    @classmethod
    def from_crawler(cls, crawler, *args, **kwargs):
        spider = super().from_crawler(crawler, *args, **kwargs)
        crawler.signals.connect(spider.ignore, scrapy.signals.spider_opened)
        return spider

    def ignore(self):
        from twisted.internet import reactor

        # Scrapy installs its own handlers when the reactor starts.
        reactor.callLater(0, signal.signal, signal.SIGTERM, signal.SIG_IGN)


class Forking(Shop):
    """Leaves a child that holds its standard output, and does not end by itself."""

    name = "forking"

    def closed(self, reason):
        subprocess.Popen(["sleep", "600"], start_new_session=True)


class Browsing(Shop):
    """Renders each page in a browser, with a profile and a cache below the home directory."""

    name = "browsing"
    custom_settings = {"CONCURRENT_REQUESTS": 1}

    def parse(self, response):
        page = "data:text/html,<title>book</title><script>document.title %2B= ' ' %2B (6 * 7)</script>"
        rendered = subprocess.run(
            ["chromium", "--headless", "--disable-gpu", "--dump-dom", page],
            check=True, capture_output=True, text=True, timeout=120,
        ).stdout
        yield {"title": rendered.partition("<title>")[2].partition("</title>")[0],
               "shared_memory": os.statvfs("/dev/shm").f_blocks * os.statvfs("/dev/shm").f_frsize >> 20}
