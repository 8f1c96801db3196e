from scrapy.exceptions import DropItem


class Drop:
    """Drops the items that say so."""

    def process_item(self, item, spider=None):
        if item.get("drop"):
            raise DropItem("sold out")
        return item
