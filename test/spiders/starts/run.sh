#!/bin/sh
# What many images start with: a shell that prepares something, and stays.
echo "preparing the shop"
scrapy crawl shop "$@"
echo "the shop is closed"
