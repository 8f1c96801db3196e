// Package bookshop makes the demo's website: a shop of a thousand books, the same in every build.
package bookshop

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// Size is how many books the shop holds.
const Size = 1000

// Book is what the page of one book shows.
type Book struct {
	Title       string
	Slug        string // of its page: /book/<slug>.html
	Category    Category
	Description string
	UPC         string // 16 hexadecimal digits, unique in the shop
	Pence       int    // price in pence sterling
	Rating      int    // stars, 1 to 5
	Stock       int    // copies left, 0 to 21
}

// Price is the price as a shop writes it, such as £12.99.
func (b Book) Price() string { return fmt.Sprintf("£%d.%02d", b.Pence/100, b.Pence%100) }

// Category is a shelf of the shop.
type Category struct {
	Name string
	Slug string // of its first page: /category/<slug>/
}

// Catalogue lists the shop's books. Nothing in it is random: the number of a book decides everything about it.
func Catalogue() []Book {
	books := make([]Book, Size)
	for i := range books {
		books[i] = book(i)
	}
	return books
}

// Categories lists every category in the order of the shop's menu; each holds at least one book.
func Categories() []Category {
	categories := make([]Category, len(categoryNames))
	for i, name := range categoryNames {
		categories[i] = Category{Name: name, Slug: slug(name)}
	}
	return categories
}

func book(i int) Book {
	title := title(i)
	sum := sha256.Sum256([]byte(title))
	pick := func(n, n2 int) int { return int(sum[n])<<8 + int(sum[n2]) }
	return Book{
		Title:       title,
		Slug:        slug(title),
		Category:    Categories()[shelf(i)],
		Description: fmt.Sprintf(descriptions[pick(1, 2)%len(descriptions)], title),
		UPC:         hex.EncodeToString(sum[:8]),
		Pence:       999 + pick(3, 4)%5000,
		Rating:      1 + pick(5, 6)%5,
		Stock:       pick(7, 8) % 22,
	}
}

// title walks through all triples of the word lists in steps that never meet again within the shop, so that neighbours
// differ and no title comes twice: the step has no factor in common with the number of triples.
func title(i int) string {
	const step = 7919
	n := i * step % (len(adjectives) * len(nouns) * len(places))
	adjective := adjectives[n%len(adjectives)]
	noun := nouns[n/len(adjectives)%len(nouns)]
	place := places[n/len(adjectives)/len(nouns)]
	return fmt.Sprintf("The %s %s %s", adjective, noun, place)
}

// shelf spreads the books over the categories as shops do: some are large, most are small. Squaring an even spread makes
// the first category fourteen times as large as the last.
func shelf(i int) int {
	const step = 617 // has no factor in common with Size: every x comes once
	x := i * step % Size
	return x * x * len(categoryNames) / (Size * Size)
}

func slug(s string) string {
	return strings.NewReplacer(" ", "-", "'", "", "&", "and").Replace(strings.ToLower(s))
}
