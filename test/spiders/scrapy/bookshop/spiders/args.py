"""A spider that says, to the byte, what it was started with."""

import json

import scrapy
from scrapy.settings import SETTINGS_PRIORITIES


class ArgsSpider(scrapy.Spider):
    """One item for every argument (-a) and every setting of the command line (-s), each also printed on a line of JSON.

    A line is {"kind": "argument" or "setting", "name": ..., "value": ..., "hex": the value's UTF-8 bytes}.
    """

    name = "args"
    start_urls = ["data:,"]

    def __init__(self, /, **kwargs):
        # Not handed on to become attributes: any name will do, also one that a Spider has a use for.
        super().__init__()
        self.arguments = kwargs

    def parse(self, response):
        for name, value in self.arguments.items():
            yield self.report("argument", name, value)
        for name, value in self.settings.items():
            if self.settings.getpriority(name) == SETTINGS_PRIORITIES["cmdline"]:
                yield self.report("setting", name, str(value))

    def report(self, kind, name, value):
        item = {"kind": kind, "name": name, "value": value, "hex": value.encode(errors="surrogateescape").hex()}
        print(json.dumps(item))
        return item
