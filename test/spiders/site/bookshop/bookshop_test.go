package bookshop_test

import (
	"encoding/json"
	"html"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/scrapethis/spider-operator/test/spiders/site/bookshop"
)

func pages(t *testing.T) map[string][]byte {
	t.Helper()
	site, err := bookshop.Pages()
	if err != nil {
		t.Fatal(err)
	}
	return site
}

func TestTheSiteIsTheSameEveryTime(t *testing.T) {
	if !maps.EqualFunc(pages(t), pages(t), slices.Equal) {
		t.Error("two renderings of the site differ")
	}
}

// The image is built by root and serves as somebody else.
func TestEverybodyMayReadTheSite(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "pages")
	if err := bookshop.Write(folder); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(folder, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if info.Mode()&0o004 == 0 || entry.IsDir() && info.Mode()&0o001 == 0 {
			t.Errorf("%s: %s", name, info.Mode())
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestBooksCanBeToldApart(t *testing.T) {
	upcs, slugs := map[string]bool{}, map[string]bool{}
	for _, b := range bookshop.Catalogue() {
		upcs[b.UPC], slugs[b.Slug] = true, true
		if b.Rating < 1 || b.Rating > 5 || b.Pence <= 0 || b.Stock < 0 {
			t.Errorf("impossible book: %+v", b)
		}
	}
	if len(upcs) != bookshop.Size || len(slugs) != bookshop.Size {
		t.Errorf("%d UPCs and %d slugs for %d books", len(upcs), len(slugs), bookshop.Size)
	}
}

var href = regexp.MustCompile(`href="([^"]*)"`)

func links(page []byte) []string {
	var found []string
	for _, match := range href.FindAllSubmatch(page, -1) {
		found = append(found, html.UnescapeString(string(match[1])))
	}
	return found
}

// file is where the server finds the page of an address.
func file(address string) string {
	if strings.HasSuffix(address, "/") {
		address += "index.html"
	}
	return path.Clean(address)[1:]
}

func TestEveryLinkLeadsToAPageAndEveryPageIsLinked(t *testing.T) {
	site := pages(t)
	linked := map[string]bool{}
	for name, page := range site {
		for _, link := range links(page) {
			if _, ok := site[file(link)]; !ok {
				t.Errorf("%s links to %s, which does not exist", name, link)
			}
			linked[file(link)] = true
		}
	}
	for name := range site {
		if !linked[name] && name != "count.json" {
			t.Errorf("nothing links to %s", name)
		}
	}
}

func TestCrawlsFindWhatCountJSONSays(t *testing.T) {
	site := pages(t)
	var count bookshop.Count
	if err := json.Unmarshal(site["count.json"], &count); err != nil {
		t.Fatal(err)
	}
	if got := crawl(t, site, "/"); got != count.Books || got != bookshop.Size {
		t.Errorf("a crawl from / finds %d books, count.json says %d, want %d", got, count.Books, bookshop.Size)
	}
	if len(count.Categories) != 50 {
		t.Errorf("%d categories, want 50", len(count.Categories))
	}
	total := 0
	for slug, want := range count.Categories {
		if got := crawl(t, site, "/category/"+slug+"/"); got != want || got == 0 {
			t.Errorf("a crawl of category %s finds %d books, count.json says %d", slug, got, want)
		}
		total += want
	}
	if total != count.Books {
		t.Errorf("the categories hold %d books, the shop %d", total, count.Books)
	}
}

var next = regexp.MustCompile(`class="next" href="([^"]*)"`)

// crawl counts the books that a spider finds which follows the next page until there is none.
func crawl(t *testing.T, site map[string][]byte, start string) int {
	t.Helper()
	books := map[string]bool{}
	for address, hops := start, 0; address != ""; hops++ {
		if hops > bookshop.Size {
			t.Fatalf("the pages from %s never end", start)
		}
		page := site[file(address)]
		for _, link := range links(page) {
			if strings.HasPrefix(link, "/book/") {
				books[link] = true
			}
		}
		address = ""
		if match := next.FindSubmatch(page); match != nil {
			address = html.UnescapeString(string(match[1]))
		}
	}
	return len(books)
}
