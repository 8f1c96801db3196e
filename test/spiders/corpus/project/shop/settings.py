"""Settings of a project whose log may look like anything: SHOP_LOG names one of the looks in formats.py."""

import os

from shop import formats

BOT_NAME = "shop"
SPIDER_MODULES = ["shop.spiders"]
NEWSPIDER_MODULE = "shop.spiders"
ROBOTSTXT_OBEY = False
TELNETCONSOLE_ENABLED = False
RETRY_TIMES = 2
CONCURRENT_REQUESTS = 4
# Both measure, without a look at Scrapy's own statistics, what truly happened: see truth.py.
EXTENSIONS = {"shop.truth.Truth": 0}
DOWNLOADER_MIDDLEWARES = {"shop.truth.Wire": 851}
ITEM_PIPELINES = {"shop.pipelines.Drop": 100}

formats.install(os.environ.get("SHOP_LOG", ""))
