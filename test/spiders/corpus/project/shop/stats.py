"""Statistics as projects keep them: a thousand of them, and of types that nobody expects."""

import collections
import datetime
import decimal

from scrapy.statscollectors import MemoryStatsCollector, StatsCollector


class Ugly:
    """A value whose text is no Python."""

    def __init__(self, text):
        self.text = text

    def __repr__(self):
        return self.text


class Failed(Exception):
    pass


def many(count):
    return {f"field/{number % 97}/of/https://shop.example/page/{number}": number % 7 for number in range(count)}


def odd_values():
    return {
        "a long text": "the quick brown fox jumps over the lazy dog " * 6,
        "bytes": b"\x00\xffbytes",
        "class": int,
        "counter": collections.Counter("spider"),
        "decimal": decimal.Decimal("12.50"),
        "default": collections.defaultdict(list, {"a": [1, 2], "b": []}),
        "delta": datetime.timedelta(days=1, seconds=7),
        "enum": Ugly("<Colour.RED: 1>"),
        "exception": Failed("it's \"so\""),
        "floats": [1.5, 1e-07, float("inf"), float("nan"), -2.0, 1 + 2j],
        "item_scraped_count/by shop": {f"shop {n}": {"item_scraped_count": n} for n in range(8)},
        "lines": "first\nsecond\r\nitem_scraped_count': 5,\n",
        "nested": {"item_scraped_count": 99999, "tuple": (1,), "set": {1}, "frozen": frozenset({2}), "empty": set()},
        "none": None,
        "ordered": collections.OrderedDict(a=1, b=(2, 3)),
        "unicode": "книга \u2028 \U0001f4da \x1b[31m",
        "when": datetime.datetime(2026, 11, 23, tzinfo=datetime.timezone.utc),
    }


def broken_values():
    """Values that break Python's syntax: an open quote, an open bracket, a line break in the middle."""
    return {
        "a quote": Ugly("it's"),
        "brackets": Ugly("<([{>"),
        "closing": Ugly("}"),
        "frame": Ugly("   title  price\n0   book   12.5\n1   lamp  {8.0"),
        "z open text": Ugly("'never closed"),
    }


def odd_keys():
    return {
        'both "kinds" of \'quotes\'': 1,
        "it's": 2,
        "a, comma: and {braces}": 3,
        "new\nline": 4,
        "item_scraped_count ": 5,
        "Item_Scraped_Count": 6,
        "книга": 7,
    }


def mixed_keys():
    return {("a", "tuple"): None, 7: True, None: 1, b"item_scraped_count": 4711, Ugly("<Shop 'x'>"): 3}


KINDS = {
    "thousand": lambda: many(1000),
    "ten-thousand": lambda: many(10_000),
    "odd-values": odd_values,
    "broken-values": broken_values,
    "odd-keys": odd_keys,
    "mixed-keys": mixed_keys,
}


class Shared(StatsCollector):
    """A collector whose numbers are the whole fleet's, and which dumps none: as scrapy-redis' does."""

    fleet = 5000

    def get_value(self, key, default=None, spider=None):
        value = super().get_value(key, default)
        return value + self.fleet if key in ("item_scraped_count", "response_received_count") else value

    def close_spider(self, spider=None, reason=None):
        pass


class Own(MemoryStatsCollector):
    """A collector of the project's own that keeps what there is in Scrapy."""
