"""Spiders of the bookshop: the whole shop, one category, and the whole shop slowly."""

import os

import scrapy

from ..items import Book


class BooksSpider(scrapy.Spider):
    """Every book of the shop. The shop's address is the argument `site`, else the environment's SITE_URL."""

    name = "books"
    path = "/"

    def __init__(self, site=None, **kwargs):
        super().__init__(**kwargs)
        site = site or os.environ.get("SITE_URL", "http://site.demo.svc")
        self.start_urls = [site.rstrip("/") + self.path]

    def parse(self, response):
        yield from response.follow_all(css="li.book a", callback=self.parse_book)
        yield from response.follow_all(css="a.next")

    def parse_book(self, response):
        yield Book(
            upc=response.css(".upc::text").get(),
            title=response.css("h1::text").get(),
            category=response.css(".category a::text").get(),
            price=response.css(".price::text").get(),
            stars=int(response.css(".rating::attr(data-stars)").get()),
            copies=int(response.css(".stock::attr(data-copies)").get()),
        )


class CategorySpider(BooksSpider):
    """The books of one category, such as `-a category=Travel`."""

    name = "category"

    def __init__(self, category=None, **kwargs):
        if not category:
            raise ValueError("the argument category is missing: a category of the shop, such as Travel")
        slug = category.strip().lower().replace(" ", "-")
        self.path = f"/category/{slug}/"
        super().__init__(**kwargs)


class SlowSpider(BooksSpider):
    """Every book of the shop, a page a second: there is time to cancel it."""

    name = "slow"
    custom_settings = {
        # One request at a time: a stop waits for all that are under way, and here each of them would take its second.
        "CONCURRENT_REQUESTS": 1,
        "DOWNLOAD_DELAY": 1,
        "RANDOMIZE_DOWNLOAD_DELAY": False,
    }
