#!/bin/sh
# The same, but that the shell makes way for Scrapy, which then gets the signals.
echo "preparing the shop"
exec scrapy crawl shop "$@"
