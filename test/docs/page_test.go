package docs

import (
	"strings"
	"testing"
)

func TestAPageIsAScriptWithTheSameLines(t *testing.T) {
	p, err := readPage("page.md", strings.Join([]string{
		"# A page", "", "```sh", "one", "```", "", "<!-- not run: too far -->", "```sh", "two", "```", "",
		"```yaml", "three: 3", "```", "", "<!-- run", "four", "-->", "  ```sh", "  five", "  ```", "six",
	}, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[int]string{4: "one", 17: "four", 20: "  five"}
	for i, line := range strings.Split(p.script, "\n") {
		if line != want[i+1] {
			t.Errorf("line %d is %q, want %q", i+1, line, want[i+1])
		}
	}
	if p.blocks != 3 || len(p.notRun) != 1 || p.notRun[0] != (omission{line: 7, reason: "too far"}) {
		t.Errorf("%d blocks, not run %v", p.blocks, p.notRun)
	}
}

func TestPagesThatWouldPassOverCommandsAreRefused(t *testing.T) {
	for text, says := range map[string]string{
		"```bash\nx\n```":                     "page.md:1: blocks of commands are marked as sh",
		"<!-- not run -->\n```sh\nx\n```":     "page.md:1: missing the reason",
		"<!-- not run:  -->\n```sh\nx\n```":   "page.md:1: missing the reason",
		"<!-- not run: why -->\n\n```sh\n```": "page.md:1: no block",
		"<!-- not run: why -->":               "page.md:1: no block",
		"\n```sh\nx":                          "page.md:2: the block does not end",
		"<!-- run\nx":                         "page.md:1: the block does not end",
	} {
		if _, err := readPage("page.md", text); err == nil || !strings.HasPrefix(err.Error(), says) {
			t.Errorf("%q: %v, want %s", text, err, says)
		}
	}
}
