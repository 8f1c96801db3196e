package bookshop

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"os"
	"path/filepath"
)

// perPage is how many books a catalogue page lists.
const perPage = 20

// Count is what /count.json says: how many books a crawl of the shop, or of one category, should find.
type Count struct {
	Books      int            `json:"books"`
	Categories map[string]int `json:"categories"` // by the category's slug
}

//go:embed templates/*.html
var templateFiles embed.FS

var templates = template.Must(template.ParseFS(templateFiles, "templates/*.html"))

// listing is one page of a list of books.
type listing struct {
	Heading        string
	Total          int
	Books          []Book
	Page, Pages    int
	Previous, Next string // addresses of the neighbouring pages; empty at the ends
	Categories     []Category
}

// Pages renders the whole site: file contents by slash-separated path, where a folder's page is its index.html.
func Pages() (map[string][]byte, error) {
	books := Catalogue()
	site := map[string][]byte{}

	list, err := listPages("All books", books, "", "catalogue/")
	if err != nil {
		return nil, err
	}
	maps.Copy(site, list)

	count := Count{Books: len(books), Categories: map[string]int{}}
	for _, category := range Categories() {
		var shelf []Book
		for _, b := range books {
			if b.Category == category {
				shelf = append(shelf, b)
			}
		}
		folder := "category/" + category.Slug + "/"
		list, err := listPages(category.Name, shelf, folder, folder)
		if err != nil {
			return nil, err
		}
		maps.Copy(site, list)
		count.Categories[category.Slug] = len(shelf)
	}

	for _, b := range books {
		page, err := render("book.html", b)
		if err != nil {
			return nil, err
		}
		site["book/"+b.Slug+".html"] = page
	}

	counts, err := json.MarshalIndent(count, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode the number of books: %w", err)
	}
	site["count.json"] = append(counts, '\n')
	return site, nil
}

// listPages renders a list of books in pages: the first is the page of the folder first, the others are in the folder rest.
func listPages(heading string, books []Book, first, rest string) (map[string][]byte, error) {
	pages := (len(books) + perPage - 1) / perPage
	address := func(page int) string {
		switch {
		case page < 1 || page > pages:
			return ""
		case page == 1:
			return "/" + first
		default:
			return fmt.Sprintf("/%spage-%d.html", rest, page)
		}
	}
	rendered := map[string][]byte{}
	for page := 1; page <= pages; page++ {
		content, err := render("list.html", listing{
			Heading: heading, Total: len(books), Categories: Categories(),
			Books: books[(page-1)*perPage : min(page*perPage, len(books))],
			Page:  page, Pages: pages, Previous: address(page - 1), Next: address(page + 1),
		})
		if err != nil {
			return nil, err
		}
		name := address(page)[1:]
		if page == 1 {
			name += "index.html"
		}
		rendered[name] = content
	}
	return rendered, nil
}

func render(name string, data any) ([]byte, error) {
	var page bytes.Buffer
	if err := templates.ExecuteTemplate(&page, name, data); err != nil {
		return nil, fmt.Errorf("render %s: %w", name, err)
	}
	return page.Bytes(), nil
}

// Write renders the site into a folder, which it makes where it is missing. Everybody may read it: its server does not run
// as the user that generates it.
func Write(folder string) error {
	site, err := Pages()
	if err != nil {
		return err
	}
	for name, content := range site {
		file := filepath.Join(folder, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return fmt.Errorf("make a folder of the site: %w", err)
		}
		//nolint:gosec // For everybody to read, as above.
		if err := os.WriteFile(file, content, 0o644); err != nil {
			return fmt.Errorf("write a page of the site: %w", err)
		}
	}
	return nil
}
