"""Settings of the demo's Scrapy project."""

BOT_NAME = "bookshop"
SPIDER_MODULES = ["bookshop.spiders"]
NEWSPIDER_MODULE = "bookshop.spiders"
REQUEST_FINGERPRINTER_IMPLEMENTATION = "2.7"

# The shop is ours and in the same cluster: there is nobody to be polite to, and nothing but pages to be fetched.
ROBOTSTXT_OBEY = False
AUTOTHROTTLE_ENABLED = False
CONCURRENT_REQUESTS = 32
CONCURRENT_REQUESTS_PER_DOMAIN = 32
COOKIES_ENABLED = False
RETRY_TIMES = 5

TELNETCONSOLE_ENABLED = False
