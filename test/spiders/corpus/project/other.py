"""Programs that are no Scrapy, with numbers in what they print."""

import json
import sys

if sys.argv[1] == "json":
    for page in range(40):
        stats = {"item_scraped_count": page}
        print(json.dumps({"level": "info", "msg": f"scraped page {page}", "items": page * 10, "stats": stats}))
    print(json.dumps({"level": "info", "msg": "done", "finish_reason": "finished", "item_scraped_count": 390}))
elif sys.argv[1] == "text":
    for page in range(40):
        print(f"Crawled page {page}, scraped {page * 10} items")
    print("Stats: {'item_scraped_count': 390, 'finish_reason': 'finished'}")
else:
    sys.stdout.buffer.write(bytes(range(256)) * 40)
    raise SystemExit("Traceback (most recent call last): no page")
