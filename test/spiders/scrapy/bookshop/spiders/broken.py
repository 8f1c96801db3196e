"""A spider that fails, in one of the ways in which spiders fail."""

import scrapy


class BrokenSpider(scrapy.Spider):
    """Fails as the argument `mode` says.

    init        the constructor raises: Scrapy exits with 1 (the default)
    callback    two callbacks raise: Scrapy finishes, exits with 0, and counts the errors
    errorcount  twenty callbacks raise: Scrapy gives up (CLOSESPIDER_ERRORCOUNT) and exits with 0
    """

    name = "broken"
    custom_settings = {"CLOSESPIDER_ERRORCOUNT": 3}

    def __init__(self, mode="init", **kwargs):
        super().__init__(**kwargs)
        if mode == "init":
            raise RuntimeError("this spider is broken, as it was asked to be")
        pages = {"callback": 2, "errorcount": 20}
        if mode not in pages:
            raise ValueError(f"mode {mode!r} is none of init, callback and errorcount")
        self.start_urls = [f"data:,page-{page}" for page in range(pages[mode])]

    def parse(self, response):
        raise RuntimeError("this callback is broken, as it was asked to be")
