"""Looks of a log, as projects give them to Scrapy's: with libraries, by hand, for people and for log services.

install() does what projects do: it replaces the function by which Scrapy makes its handler, or adds handlers of its own.
"""

import json
import logging
import sys
import time


class Coloured(logging.Formatter):
    """Colours by hand, around the level and the whole message."""

    COLOURS = {"DEBUG": 36, "INFO": 32, "WARNING": 33, "ERROR": 31, "CRITICAL": 35}

    def format(self, record):
        colour = self.COLOURS.get(record.levelname, 0)
        return (f"\x1b[2m{self.formatTime(record)}\x1b[0m \x1b[{colour};1m{record.levelname:<8}\x1b[0m "
                f"\x1b[38;5;244m{record.name}\x1b[0m \x1b[{colour}m{super().format(record)}\x1b[0m")


class OneLine(logging.Formatter):
    """Puts something else in the place of line breaks, for services that take a line for a message."""

    def __init__(self, instead):
        super().__init__("%(asctime)s [%(name)s] %(levelname)s: %(message)s")
        self.instead = instead

    def format(self, record):
        return super().format(record).replace("\n", self.instead)


class Json(logging.Formatter):
    """An object a line, with the message under a key of one's choice."""

    def __init__(self, key, **more):
        super().__init__()
        self.key, self.more = key, more

    def format(self, record):
        document = {"timestamp": self.formatTime(record), "level": record.levelname.lower(), "logger": record.name}
        document[self.key] = record.getMessage()
        if record.exc_info:
            document["exc_info"] = self.formatException(record.exc_info)
        return json.dumps({**document, **self.more}, default=str)


class Ecs(logging.Formatter):
    """Elastic's common schema, as its library writes it."""

    def format(self, record):
        return json.dumps({
            "@timestamp": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(record.created)),
            "log.level": record.levelname.lower(), "message": record.getMessage(),
            "ecs.version": "1.6.0", "log": {"logger": record.name, "origin": {"line": record.lineno}},
            "process": {"name": "MainProcess", "pid": 1},
        }, separators=(",", ":"), ensure_ascii=False)


class PrettyJson(Json):
    """An object over several lines, for people."""

    def format(self, record):
        return json.dumps(json.loads(super().format(record)), indent=2)


class Indented(logging.Formatter):
    """Sets the further lines of a message under its first."""

    def format(self, record):
        return super().format(record).replace("\n", "\n" + " " * 26)


class Barred(logging.Formatter):
    """Begins every line of a message with time, level and a bar."""

    def format(self, record):
        head = f"{self.formatTime(record, '%H:%M:%S')} | {record.levelname:<8} | {record.name:<28} | "
        return "\n".join(head + line for line in super().format(record).split("\n"))


def structlog(renderer):
    import structlog as library

    stamp = library.processors.TimeStamper(fmt="iso")
    shared = [library.stdlib.add_logger_name, library.stdlib.add_log_level, stamp]
    renderers = {
        "console": lambda: library.dev.ConsoleRenderer(colors=True),
        "plain": lambda: library.dev.ConsoleRenderer(colors=False),
        "json": library.processors.JSONRenderer,
        "keyvalue": lambda: library.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"]),
        "logfmt": lambda: library.processors.LogfmtRenderer(key_order=["timestamp", "level", "logger", "event"]),
    }
    return library.stdlib.ProcessorFormatter(processor=renderers[renderer](), foreign_pre_chain=shared)


def colorlog():
    import colorlog as library

    return library.ColoredFormatter("%(log_color)s%(asctime)s %(levelname)-8s%(reset)s %(blue)s%(name)s%(reset)s "
                                    "%(message_log_color)s%(message)s",
                                    secondary_log_colors={"message": {"INFO": "white", "ERROR": "red"}},
                                    force_color=True, stream=sys.stderr)


def python_json_logger():
    try:
        from pythonjsonlogger.json import JsonFormatter
    except ImportError:
        from pythonjsonlogger.jsonlogger import JsonFormatter
    return JsonFormatter("%(asctime)s %(levelname)s %(name)s %(message)s")


def loguru(**sink):
    """Loguru's own recipe for what logs by the standard library."""
    from loguru import logger

    class Intercept(logging.Handler):
        def emit(self, record):
            frame, depth = logging.currentframe(), 0
            while frame and (depth == 0 or frame.f_code.co_filename == logging.__file__):
                frame, depth = frame.f_back, depth + 1
            logger.opt(depth=depth, exception=record.exc_info).log(record.levelname, record.getMessage())

    logger.remove()
    logger.add(sys.stderr, level="DEBUG", **sink)
    return Intercept()


def rich():
    from rich.console import Console
    from rich.logging import RichHandler

    return RichHandler(console=Console(stderr=True, width=120), show_path=True)


SCRAPYS = "%(asctime)s [%(name)s] %(levelname)s: %(message)s"
FORMATTERS = {
    "coloured": Coloured,
    "one-line": lambda: OneLine(" "),
    "carriage-returns": lambda: OneLine("\r"),
    "escaped-breaks": lambda: OneLine("\\n"),
    "json-message": lambda: Json("message"),
    "json-msg": lambda: Json("msg", service="shop", trace=None),
    "json-log": lambda: Json("log", kubernetes={"labels": {"app": "shop"}, "container_name": "spider"}),
    "json-pretty": lambda: PrettyJson("message"),
    "ecs": Ecs,
    "indented": lambda: Indented(SCRAPYS),
    "barred": Barred,
    "structlog-console": lambda: structlog("console"),
    "structlog-plain": lambda: structlog("plain"),
    "structlog-json": lambda: structlog("json"),
    "structlog-keyvalue": lambda: structlog("keyvalue"),
    "structlog-logfmt": lambda: structlog("logfmt"),
    "colorlog": colorlog,
    "python-json-logger": python_json_logger,
}
HANDLERS = {
    "loguru": loguru,
    "loguru-coloured": lambda: loguru(colorize=True),
    "loguru-json": lambda: loguru(serialize=True),
    "rich": rich,
}


def install(look):
    """Gives the log the look that is named; none for an empty name."""
    if look in FORMATTERS or look in HANDLERS:
        replace_handler(look)
    elif look == "twice":
        add_handler(logging.Formatter(SCRAPYS, "%Y-%m-%d %H:%M:%S"))
    elif look == "json-and-plain":
        add_handler(Json("message"))
    elif look == "basic-and-plain":
        logging.basicConfig(level=logging.INFO)
    elif look:
        raise ValueError(f"no look of a log is named {look}")


def add_handler(formatter):
    """A second handler, of the project's own, beside Scrapy's: every message is written twice."""
    if any(getattr(handler, "ours", False) for handler in logging.getLogger().handlers):
        return
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    handler.setLevel(logging.INFO)
    handler.ours = True
    logging.getLogger().addHandler(handler)


def replace_handler(look):
    from scrapy.utils import log

    scrapys = log._get_handler

    def handler(settings):
        made = scrapys(settings)
        if look in FORMATTERS:
            made.setFormatter(FORMATTERS[look]())
            return made
        level, made = made.level, HANDLERS[look]()
        made.setLevel(level)
        return made

    log._get_handler = handler
