package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	link = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	code = regexp.MustCompile("`[^`]*`")
	// unanchored is what GitHub drops from a heading to make its anchor.
	unanchored = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// Every link of a page leads to a file of the repository, and to a heading of that file if it names one.
func TestLinksLeadSomewhere(t *testing.T) {
	s := &stage{root: root(t)}
	checked := 0
	for _, p := range append(s.pages(t), page{name: "CONTRIBUTING.md"}, page{name: "SECURITY.md"}) {
		path := filepath.Join(s.root, p.name)
		for _, found := range link.FindAllStringSubmatch(code.ReplaceAllString(read(t, path), ""), -1) {
			target, anchor, _ := strings.Cut(found[1], "#")
			if strings.Contains(target, ":") {
				continue // another host
			}
			checked++
			file := path
			if target != "" {
				file = filepath.Join(filepath.Dir(path), target)
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s links to %s: %v", p.name, found[1], err)
			} else if anchor != "" && strings.HasSuffix(file, ".md") && !hasAnchor(read(t, file), anchor) {
				t.Errorf("%s links to %s, which has no such heading", p.name, found[1])
			}
		}
	}
	if checked < 100 {
		t.Errorf("only %d links were found", checked)
	}
}

// hasAnchor reports whether a page has a heading with the anchor.
func hasAnchor(text, anchor string) bool {
	for line := range strings.Lines(text) {
		heading := strings.TrimLeft(line, "#")
		if heading == line {
			continue
		}
		name := unanchored.ReplaceAllString(strings.ToLower(strings.TrimSpace(heading)), "")
		if strings.ReplaceAll(name, " ", "-") == anchor {
			return true
		}
	}
	return false
}
