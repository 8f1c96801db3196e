"""A script around CrawlerProcess, which crawls twice."""

from scrapy.crawler import CrawlerProcess
from scrapy.utils.project import get_project_settings

process = CrawlerProcess({**get_project_settings(), "LOG_LEVEL": "INFO"})
process.crawl("shop")
process.crawl("shop", pages=7)
process.start()
