import dataclasses


@dataclasses.dataclass
class Book:
    upc: str
    title: str
    category: str
    price: str
    stars: int
    copies: int
