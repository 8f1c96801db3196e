"""Several crawls in one process, as scripts around CrawlerProcess and CrawlerRunner start them: in turn or at once."""

import sys

from scrapy.crawler import CrawlerProcess, CrawlerRunner
from scrapy.utils.log import configure_logging
from scrapy.utils.project import get_project_settings


def main(order, *crawls):
    settings = get_project_settings()
    settings.set("LOG_LEVEL", "INFO")
    settings.set("LOGSTATS_INTERVAL", 1)
    calls = []
    for crawl in crawls:
        spider, *arguments = crawl.split(":")
        calls.append((spider, dict(argument.split("=", 1) for argument in arguments)))
    if order == "at-once":
        process = CrawlerProcess(settings)
        for spider, arguments in calls:
            process.crawl(spider, **arguments)
        process.start()
        return
    from scrapy.utils.reactor import install_reactor

    if settings["TWISTED_REACTOR"]:
        install_reactor(settings["TWISTED_REACTOR"])
    from twisted.internet import defer, reactor

    configure_logging(settings)
    runner = CrawlerRunner(settings)

    @defer.inlineCallbacks
    def one_after_the_other():
        for spider, arguments in calls:
            try:
                yield runner.crawl(spider, **arguments)
            except Exception as error:
                print(f"the crawl of {spider} did not begin: {error}", file=sys.stderr)
        reactor.stop()

    reactor.callWhenRunning(one_after_the_other)
    reactor.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
