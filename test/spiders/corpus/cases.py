"""The runs of the corpus: what is started, what happens to it, and where somebody outside can see how it went."""

import dataclasses
import signal

TERM, INT, KILL = signal.SIGTERM, signal.SIGINT, signal.SIGKILL
MOVING = r"Crawled [1-9]"  # progress lines come every second here


@dataclasses.dataclass
class Case:
    name: str
    about: str
    arguments: list = dataclasses.field(default_factory=list)  # of `scrapy crawl`
    command: list = None  # in place of `scrapy crawl`
    look: str = ""  # of the log: see formats.py
    through: str = ""  # a shell filter that the log goes through
    level: str = "INFO"
    signals: list = dataclasses.field(default_factory=list)  # (what has to stand in the log, signal to send)
    counts: str = "dump"  # where the counts stand: dump, progress, none, partial (a dump, and another
    # crawl's progress), whatever (a dump if there is one: the process was killed in the act)
    reason_seen: bool = True  # the finish reason stands in the log, in the dump or in "Spider closed (…)"
    feeds: list = dataclasses.field(default_factory=list)  # files that must hold every item, a line each
    lives_on: bool = False  # after "Spider closed" the process goes on until it is killed
    shared: str = ""  # cases of the same name share a JOBDIR, one after the other
    delay: float = 0.0  # of the site's answers, in seconds
    everywhere: bool = True  # the version of Scrapy may matter


def spider(**arguments):
    return [word for name, value in arguments.items() for word in ("-a", f"{name}={value}")]


def setting(**settings):
    return [word for name, value in settings.items() for word in ("-s", f"{name}={value}")]


def feed(path, kind="jsonlines"):
    return setting(FEEDS='{"%s": {"format": "%s"}}' % (path, kind))


SLOW = spider(pages=400) + setting(DOWNLOAD_DELAY=0.05, RANDOMIZE_DOWNLOAD_DELAY=0)

LOOKS = [
    ("coloured", "colours by hand around level and message"),
    ("colorlog", "the library colorlog, every message in a colour"),
    ("one-line", "line breaks become blanks"),
    ("carriage-returns", "line breaks become carriage returns"),
    ("escaped-breaks", "line breaks become a backslash and an n"),
    ("indented", "further lines of a message are indented"),
    ("barred", "every line begins with time, level and bars"),
    ("json-message", "JSON lines, `message`"),
    ("json-msg", "JSON lines, `msg`"),
    ("json-log", "JSON lines, `log`"),
    ("json-pretty", "JSON over several lines"),
    ("ecs", "Elastic's common schema"),
    ("python-json-logger", "the library python-json-logger"),
    ("structlog-console", "structlog's console renderer, in colour"),
    ("structlog-plain", "structlog's console renderer, without colour"),
    ("structlog-json", "structlog's JSON renderer, `event`"),
    ("structlog-keyvalue", "structlog's key=value renderer"),
    ("structlog-logfmt", "structlog's logfmt renderer"),
    ("loguru", "the library loguru"),
    ("loguru-coloured", "the library loguru, in colour"),
    ("loguru-json", "the library loguru, serialized: the message is nested in `record`"),
    ("rich", "the library rich: columns, 120 wide, long lines are wrapped"),
    ("twice", "a handler of the project's own beside Scrapy's: every message twice"),
    ("json-and-plain", "a JSON handler of the project's own beside Scrapy's"),
    ("basic-and-plain", "logging.basicConfig() beside Scrapy's handler"),
]

BY_LIBRARIES = ("colorlog", "python-json-logger", "structlog-console", "structlog-json", "structlog-keyvalue", "loguru",
                "loguru-json", "rich", "twice", "json-message", "one-line")

FILTERS = [
    ("prefix-process", "a process manager's prefix before every line", r"sed -u 's/^/12:00:01 spider.1 | /'"),
    ("prefix-coloured", "the same, in colour", r"sed -u 's/^/\x1b[36m12:00:01 web.1  |\x1b[0m /'"),
    ("prefix-time", "a time before every line", "sed -u 's/^/2026-11-26T12:00:01.123456789Z stderr F /'"),
    ("prefix-tab", "a tab before every line", r"sed -u 's/^/\t/'"),
    ("prefix-brackets", "brackets before every line", r"sed -u 's/^/[shop] {12} (main): /'"),
    ("docker-json", "every line in an object as Docker's log files have it",
     r"""sed -u 's/\\/\\\\/g; s/"/\\"/g; s/\t/\\t/g; s/.*/{"log":"&\\n","stream":"stderr","time":"2026-11-26T12:00:01.1Z"}/'"""),
    ("windows-breaks", "line breaks of Windows", r"sed -u 's/$/\r/'"),
    ("trailing-blanks", "blanks behind every line", "sed -u 's/$/   /'"),
]

CASES = [
    Case("plain", "nothing changed"),
    Case("plain-debug", "LOG_LEVEL=DEBUG: the items stand in the log", level="DEBUG"),
    Case("format-bare", "LOG_FORMAT of nothing but the message", setting(LOG_FORMAT="%(message)s")),
    Case("format-around", "LOG_FORMAT with the place behind the message",
         setting(LOG_FORMAT="%(asctime)s %(levelname)s %(message)s [%(name)s:%(lineno)d]", LOG_DATEFORMAT="%d/%b/%Y %H:%M")),
    Case("format-json-like", "LOG_FORMAT that looks like JSON and escapes nothing",
         setting(LOG_FORMAT='{"time": "%(asctime)s", "level": "%(levelname)s", "message": "%(message)s"}')),
    Case("short-names", "LOG_SHORT_NAMES", setting(LOG_SHORT_NAMES=True)),
    *[Case(f"look-{look}", about, look=look, everywhere=look in BY_LIBRARIES) for look, about in LOOKS],
    *[Case(name, about, through=through, everywhere=False) for name, about, through in FILTERS],
    Case("look-one-line-errors", "line breaks become blanks, errors with their tracebacks",
         spider(do="fail_sometimes"), look="one-line", everywhere=False),
    Case("look-json-errors", "JSON lines, errors with their tracebacks", spider(do="fail_sometimes"), look="json-message"),
    Case("look-json-progress", "JSON lines, killed: progress is all there is", SLOW, look="json-msg", signals=[(MOVING, KILL)],
         counts="progress", reason_seen=False),
    Case("look-coloured-progress", "colours, killed: progress is all there is", SLOW, look="coloured", signals=[(MOVING, KILL)],
         counts="progress", reason_seen=False, everywhere=False),

    Case("dump-thousand", "a dump of 1,000 lines", spider(extra="thousand")),
    Case("dump-ten-thousand", "a dump of 10,000 lines", spider(extra="ten-thousand"), everywhere=False),
    Case("dump-ten-thousand-json", "a dump of 10,000 lines in one JSON line",
         spider(extra="ten-thousand"), look="json-message", everywhere=False),
    Case("dump-odd-values", "values of many types, over several lines", spider(extra="odd-values")),
    Case("dump-broken-values", "values whose text breaks Python's syntax", spider(extra="broken-values")),
    Case("dump-odd-keys", "keys with quotes, commas and line breaks", spider(extra="odd-keys")),
    Case("dump-mixed-keys", "keys that are no strings", spider(extra="mixed-keys")),
    Case("dump-odd-values-json", "values of many types, in a JSON line",
         spider(extra="odd-values"), look="json-message", everywhere=False),
    Case("dump-broken-values-one-line", "values that break the syntax, on one line",
         spider(extra="broken-values"), look="one-line", everywhere=False),
    Case("dump-and-noise", "500 KB of a driver's errors behind the end", spider(extra="noise")),
    Case("no-dump", "STATS_DUMP=False", spider(pages=60) + setting(STATS_DUMP=False, DOWNLOAD_DELAY=0.05), counts="progress"),
    Case("no-progress", "LOGSTATS_INTERVAL=0", setting(LOGSTATS_INTERVAL=0)),
    Case("level-warning", "LOG_LEVEL=WARNING", level="WARNING", counts="none", reason_seen=False),
    Case("level-warning-errors", "LOG_LEVEL=WARNING, with errors",
         spider(do="fail"), level="WARNING", counts="none", reason_seen=False, everywhere=False),
    Case("log-disabled", "LOG_ENABLED=False", setting(LOG_ENABLED=False), counts="none", reason_seen=False),
    Case("log-file", "LOG_FILE", setting(LOG_FILE="/tmp/corpus/file.log"), counts="none", reason_seen=False),
    Case("log-stdout", "LOG_STDOUT: what is printed becomes log", spider(do="print") + setting(LOG_STDOUT=True)),
    Case("printing", "items are printed, as dicts, JSON and prose", spider(do="print")),
    Case("own-collector", "a collector of statistics of the project's own", setting(STATS_CLASS="shop.stats.Own")),
    Case("dummy-collector", "Scrapy's DummyStatsCollector, which counts nothing",
         setting(STATS_CLASS="scrapy.statscollectors.DummyStatsCollector"), counts="none"),
    Case("shared-collector", "a collector that the whole fleet shares, without a dump: progress lines are the fleet's",
         setting(STATS_CLASS="shop.stats.Shared"), counts="none"),
    Case("no-corestats", "without CoreStats nobody counts items, nor the reason",
         setting(EXTENSIONS='{"scrapy.extensions.corestats.CoreStats": null, "shop.truth.Truth": 0}'), counts="none"),

    Case("errors-in-callbacks", "every callback fails", spider(do="fail")),
    Case("errors-in-some", "a callback of four fails", spider(do="fail_sometimes")),
    Case("errors-logged", "the spider logs an error on each page", spider(do="log_error")),
    Case("error-at-start", "the list of requests breaks off", spider(extra="start")),
    Case("no-pages", "no request at all", spider(pages=0)),
    Case("no-items", "pages without items", spider(do="nothing")),
    Case("dropped", "a pipeline drops half of the items", command=["scrapy", "crawl", "dropping"]),
    Case("not-found", "404 on every page", spider(path="/status/404/")),
    Case("unavailable", "503 on every page: retries", spider(path="/status/503/", pages=4)),
    Case("redirected", "a redirect on every page", spider(path="/redirect/")),
    Case("unreachable", "nobody listens", spider(path="http://127.0.0.1:9/", pages=4)),
    Case("no-such-host", "a name that nobody knows", spider(path="http://shop.invalid/", pages=2) + setting(RETRY_ENABLED=False)),
    Case("construction-fails", "the spider's constructor raises", spider(extra="construction"), counts="none", reason_seen=False),
    Case("no-such-spider", "no spider of that name", command=["scrapy", "crawl", "books"], counts="none", reason_seen=False),
    Case("usage-error", "no such option", command=["scrapy", "crawl", "shop", "--fast"], counts="none", reason_seen=False),

    Case("stopped-crawler", "the spider calls crawler.stop()", spider(do="stop_crawler", pages=40)),
    Case("stopped-engine", "the spider calls engine.stop()", spider(do="stop_engine", pages=40)),
    Case("closed-by-engine", "the spider calls engine.close_spider() with a reason of its own",
         spider(do="close_engine", pages=40)),
    Case("cancelled", "CloseSpider without a reason", spider(do="cancel", pages=40)),
    Case("own-reason", "CloseSpider with a reason of two lines", spider(do="own_reason")),
    Case("ban", "CloseSpider with a word of its own", spider(do="ban")),
    Case("spidermon", "closed_by_spidermon", spider(do="spidermon")),
    Case("closespider-itemcount", "CLOSESPIDER_ITEMCOUNT", setting(CLOSESPIDER_ITEMCOUNT=5) + spider(pages=40)),
    Case("closespider-pagecount", "CLOSESPIDER_PAGECOUNT", setting(CLOSESPIDER_PAGECOUNT=5)),
    Case("closespider-errorcount", "CLOSESPIDER_ERRORCOUNT", spider(do="fail", pages=40) + setting(CLOSESPIDER_ERRORCOUNT=3)),
    Case("closespider-timeout", "CLOSESPIDER_TIMEOUT", SLOW + setting(CLOSESPIDER_TIMEOUT=1)),
    Case("closespider-pagecount-no-item", "CLOSESPIDER_PAGECOUNT_NO_ITEM (unknown to 2.8)",
         spider(do="nothing") + setting(CLOSESPIDER_PAGECOUNT_NO_ITEM=4)),
    Case("closespider-timeout-no-item", "CLOSESPIDER_TIMEOUT_NO_ITEM",
         spider(do="nothing,stay") + setting(CLOSESPIDER_TIMEOUT_NO_ITEM=1)),
    Case("memusage", "MEMUSAGE_LIMIT_MB is exceeded", SLOW + spider(do="hoard")
         + setting(MEMUSAGE_LIMIT_MB=200, MEMUSAGE_CHECK_INTERVAL_SECONDS=1)),

    Case("sigterm", "SIGTERM", SLOW, signals=[(MOVING, TERM)]),
    Case("sigint", "SIGINT", SLOW, signals=[(MOVING, INT)]),
    Case("sigterm-json", "SIGTERM, JSON lines", SLOW, look="json-message", signals=[(MOVING, TERM)]),
    Case("sigterm-one-line", "SIGTERM, line breaks become blanks", SLOW, look="one-line", signals=[(MOVING, TERM)]),
    Case("sigterm-twice", "SIGTERM twice, with requests in flight", SLOW + spider(path="/slow/"), delay=3.0,
         signals=[(MOVING, TERM), ("Received SIGTERM", TERM)], counts="whatever"),
    Case("sigkill", "SIGKILL", SLOW, signals=[(MOVING, KILL)], counts="progress", reason_seen=False),
    Case("os-exit", "the process ends itself by os._exit()", spider(do="exit"), counts="progress", reason_seen=False),
    Case("sys-exit", "a callback calls sys.exit()", spider(do="sys_exit"), counts="whatever"),
    Case("resumed-1", "JOBDIR, interrupted by SIGTERM",
         spider(pages=120) + setting(DOWNLOAD_DELAY=0.05, JOBDIR="/tmp/corpus/job"),
         signals=[(MOVING, TERM)], shared="job"),
    Case("resumed-2", "JOBDIR, resumed to its end", spider(pages=120) + setting(JOBDIR="/tmp/corpus/job"), shared="job"),
    Case("lives-on", "a thread keeps the process after \"Spider closed\"", spider(extra="lives-on"),
         signals=[("Spider closed", KILL)], lives_on=True),
    Case("lives-on-loudly", "a thread keeps the process, and logs", spider(extra="lives-on-loudly"),
         signals=[("poll 12", KILL)], lives_on=True),

    Case("feed", "a feed that is written", feed("/tmp/corpus/feed.jl"), feeds=["/tmp/corpus/feed.jl"]),
    Case("feed-to-stdout", "a feed to standard output", ["-o", "-:jsonlines"]),
    Case("feed-not-allowed", "a feed to a folder in which the process may not write",
         feed("/app/items.jl"), feeds=["/app/items.jl"]),
    Case("feed-relative", "a feed to a relative path, in a project of root's", ["-o", "items.jl"], feeds=["items.jl"]),
    Case("feed-not-allowed-json", "the same, JSON lines", feed("/app/items.jl"), look="json-message", feeds=["/app/items.jl"]),
    Case("feed-one-of-two", "two feeds, one of which cannot be written",
         setting(FEEDS='{"/tmp/corpus/feed.jl": {"format": "jsonlines"}, "/app/items.jl": {"format": "jsonlines"}}'),
         feeds=["/tmp/corpus/feed.jl", "/app/items.jl"]),
    Case("feed-ftp", "a feed to an FTP server that does not answer", feed("ftp://user:word@127.0.0.1:9/items.jl"), feeds=["ftp"]),
    Case("feed-spoilt", "an item that cannot be written as JSON", spider(do="spoil") + feed("/tmp/corpus/feed.jl"),
         feeds=["/tmp/corpus/feed.jl"]),
    Case("feed-stopped", "a feed, and SIGTERM", SLOW + feed("/tmp/corpus/feed.jl"), signals=[(MOVING, TERM)],
         feeds=["/tmp/corpus/feed.jl"]),

    Case("several-one-after-another", "two crawls, one after the other", command=["several", "in-turn", "shop:pages=7", "shop"]),
    Case("several-at-once", "two crawls at once", command=["several", "at-once", "shop:pages=7", "shop"]),
    Case("several-three", "three crawls, one after the other",
         command=["several", "in-turn", "shop:pages=7", "dropping", "shop:pages=3"]),
    Case("several-one-stops", "the first of two closes for a reason", command=["several", "in-turn", "shop:do=ban", "shop"]),
    Case("several-one-does-not-open", "the first of two cannot be constructed",
         command=["several", "in-turn", "shop:extra=construction", "shop"]),
    Case("several-in-json", "two crawls, JSON lines",
         command=["several", "in-turn", "shop:pages=7", "shop"], look="json-message"),
    Case("several-on-one-line", "two crawls, line breaks become blanks", command=["several", "at-once", "shop:pages=7", "shop"],
         look="one-line", everywhere=False),
    Case("several-twice", "two crawls, every message twice",
         command=["several", "in-turn", "shop:pages=7", "shop"], look="twice"),
    Case("several-killed", "the second of two is killed", signals=[(r"(?s)Spider closed.*Crawled [1-9]", KILL)], delay=0.3,
         command=["several", "in-turn", "shop:pages=7", "shop:pages=400"], counts="partial", reason_seen=False),
    Case("several-sigterm", "SIGTERM to two crawls at once", signals=[(MOVING, TERM)], delay=0.3,
         command=["several", "at-once", "shop:pages=300", "dropping:pages=400"]),

    Case("other-json", "a program that is no Scrapy, with JSON lines",
         command=["other", "json"], counts="none", reason_seen=False),
    Case("other-text", "a program that is no Scrapy, with prose", command=["other", "text"], counts="none", reason_seen=False),
    Case("other-bytes", "bytes that are no text", command=["other", "bytes"], counts="none", reason_seen=False),
]
