package stats

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// parseLog reads a log that has ended.
func parseLog(log []byte) (Counts, bool) {
	var l Log
	_, _ = l.Write(log)
	l.End()
	return l.Counts()
}

// dumped are the counts of a dump in which all of the usual stats are there.
func dumped(items, responses, requests, errors int64, reason string) *Counts {
	return &Counts{
		Items: items, Responses: &responses, Requests: &requests, Errors: &errors,
		FinishReason: reason, Origin: v1alpha1.OriginScrapyStats, Crawls: 1, Final: true,
	}
}

// progressed are the counts of a progress line.
func progressed(pages, items int64) *Counts {
	return &Counts{Items: items, Responses: &pages, Origin: v1alpha1.OriginScrapyLog}
}

// closedAfter are counts with the reason for which the spider closed.
func closedAfter(c *Counts, reason string) *Counts {
	c.FinishReason = reason
	return c
}

// inTwo are the counts of two crawls.
func inTwo(c *Counts) *Counts {
	c.Crawls = 2
	return c
}

// TestLogOfRealRuns checks the logs that testdata/record.py has recorded.
func TestLogOfRealRuns(t *testing.T) {
	want := map[string]*Counts{
		"finished":               dumped(25, 25, 25, 0, "finished"),
		"finished-debug":         dumped(25, 25, 25, 0, "finished"),
		"progress":               progressed(65, 64),
		"shutdown":               dumped(59, 59, 59, 0, "shutdown"),
		"closespider-errorcount": dumped(0, 8, 8, 8, "closespider_errorcount"),
		"closespider-itemcount":  dumped(18, 18, 18, 0, "closespider_itemcount"),
		"closespider-own":        dumped(0, 18, 18, 0, `shop's "closed" until tomorrow`),
		"memusage":               dumped(12, 12, 12, 3, "memusage_exceeded"),
		"no-items":               dumped(0, 25, 25, 0, "finished"),
		"no-pages": {
			Responses:    new(int64),
			Errors:       new(int64),
			FinishReason: "finished",
			Crawls:       1,
			Origin:       v1alpha1.OriginScrapyStats,
			Final:        true,
		},
		"odd-stats":          dumped(25, 25, 25, 0, "finished"),
		"printing":           dumped(25, 25, 25, 0, "finished"),
		"construction-fails": nil,
		"format-bare":        dumped(25, 25, 25, 0, "finished"),
		"format-around":      dumped(25, 25, 25, 0, "finished"),
		"no-dump":            closedAfter(progressed(0, 0), "finished"),
		"no-corestats":       {FinishReason: "finished", Origin: v1alpha1.OriginNone}, // nothing counts items there
		"level-error":        nil,
		"several-sequential": inTwo(dumped(26, 26, 26, 0, "finished")),
		"several-parallel":   inTwo(dumped(26, 26, 26, 0, "finished")),
	}
	logs := realLogs(t)
	if len(logs) != len(want) {
		t.Errorf("there are %d logs and expectations of %d", len(logs), len(want))
	}
	for name, log := range logs {
		t.Run(name, func(t *testing.T) {
			got, ok := parseLog(log)
			assertCounts(t, got, ok, want[name])
		})
		t.Run(name+" with CRLF", func(t *testing.T) {
			got, ok := parseLog(bytes.ReplaceAll(log, []byte("\n"), []byte("\r\n")))
			assertCounts(t, got, ok, want[name])
		})
	}
}

// TestLogCutAnywhere cuts real logs at head and tail: what is left of a dump is never taken for a whole one, and no more is
// ever counted than there was. Fewer may be counted, since what is cut off may have been another crawl.
func TestLogCutAnywhere(t *testing.T) {
	for name, log := range allLogs(t) {
		whole, _ := parseLog(log)
		for range 500 {
			from := rand.IntN(len(log) + 1)
			to := from + rand.IntN(len(log)-from+1)
			got, _ := parseLog(log[from:to])
			if got.Final && got.Crawls == whole.Crawls && (whole.Final || !strings.Contains(name, "several")) {
				if got.Errors == nil { // A dump in a line that is cut at its head is whole, but 0 is believed of no entry that it lacks.
					got.Errors = whole.Errors
				}
				if diff := cmp.Diff(essence(whole), essence(got)); diff != "" {
					t.Fatalf("%s from %d to %d gives other final counts (-whole +cut):\n%s", name, from, to, diff)
				}
			}
			if got.Items > whole.Items && !strings.Contains(name, "shared") {
				t.Fatalf("%s from %d to %d gives %d items, the whole %d", name, from, to, got.Items, whole.Items)
			}
		}
	}
}

// TestLogInPieces writes real logs in pieces of all sizes, and checks that the counts never depend on them.
func TestLogInPieces(t *testing.T) {
	for name, log := range allLogs(t) {
		whole, _ := parseLog(log)
		for range 50 {
			var l Log
			for rest := log; len(rest) > 0; {
				n := min(1+rand.IntN(1+rand.IntN(5000)), len(rest))
				_, _ = l.Write(rest[:n])
				rest = rest[n:]
			}
			l.End()
			got, _ := l.Counts()
			if diff := cmp.Diff(whole, got); diff != "" {
				t.Fatalf("%s in pieces (-whole +pieces):\n%s", name, diff)
			}
		}
	}
}

const (
	header   = "2026-11-23 12:30:32 [scrapy.statscollectors] INFO: Dumping Scrapy stats:\n"
	crawled7 = "2026-11-23 12:30:33 [scrapy.extensions.logstats] INFO: Crawled 9 pages (at 9 pages/min), scraped 7 items (at 7 items/min)\n"
	dump5    = "{'downloader/request_count': 6,\n" +
		" 'finish_reason': 'finished',\n" +
		" 'item_scraped_count': 5,\n" +
		" 'log_count/ERROR': 1,\n" +
		" 'response_received_count': 6,\n" +
		" 'start_time': datetime.datetime(2026, 11, 23, 12, 30, 22, 335622)}\n"
)

func TestLog(t *testing.T) {
	const (
		five      = `5 items, 6 responses, 6 requests, 1 errors, final, "finished", 1 crawls, ScrapyStats`
		doubtful  = `5 items, 6 responses, 6 requests, 1 errors, not final, "finished", 1 crawls, ScrapyStats`
		uncounted = `0 items, 6 responses, 6 requests, 1 errors, not final, "finished", 1 crawls, None`
		nothing   = "nothing"
	)
	// inside puts a line into the middle of a dump.
	inside := func(line string) string {
		return header + strings.Replace(dump5, " 'log_count", line+"\n 'log_count", 1)
	}
	// entry replaces the entry of the items.
	entry := func(entry string) string {
		return header + strings.Replace(dump5, " 'item_scraped_count': 5,", entry, 1)
	}
	// reasoned is a minimal dump with a finish reason as Python writes it.
	reasoned := func(python string) string {
		return header + "{'finish_reason': " + python + ", 'item_scraped_count': 5}"
	}
	for name, test := range map[string]struct{ log, want string }{
		"nothing":                          {"", nothing},
		"a dump":                           {header + dump5, five},
		"a dump without its last line":     {header + dump5[:strings.LastIndex(dump5, " 'start")], nothing},
		"a dump without its header":        {dump5, nothing},
		"a dump whose header is cut":       {header[len(header)-10:] + dump5, nothing},
		"another word before the header's": {"NotDumping Scrapy stats:\n" + dump5, nothing},
		"text after the header's":          {strings.TrimSpace(header) + " soon\n" + dump5, five},
		"a dump in one line": {
			header + "{'item_scraped_count': 5, 'finish_reason': 'finished'}",
			`5 items, 0 responses, - requests, 0 errors, final, "finished", 1 crawls, ScrapyStats`,
		},
		"an empty dump": {header + "{}\n", nothing},
		"two dumps": {
			header + "{'item_scraped_count': 9}\n" + header + dump5,
			`14 items, 6 responses, - requests, 1 errors, final, "finished", 2 crawls, ScrapyStats`,
		},
		"a dump in a dump":           {header + dump5[:60] + "\n" + header + dump5, doubtful},
		"a dump after a broken one":  {header + "{'item_scraped_count': ]\n" + header + dump5, doubtful},
		"a broken dump after a dump": {header + dump5 + header + dump5[:60], doubtful},
		"progress": {
			crawled7,
			`7 items, 9 responses, - requests, - errors, not final, "", 0 crawls, ScrapyLog`,
		},
		"progress before a dump": {crawled7 + header + dump5, five},
		"more progress after a dump": {
			header + dump5 + crawled7,
			`12 items, 15 responses, 6 requests, 1 errors, not final, "", 1 crawls, ScrapyLog`,
		},
		"less progress after a dump": {
			header + dump5 + strings.Replace(crawled7, "scraped 7", "scraped 2", 1),
			`7 items, 15 responses, 6 requests, 1 errors, not final, "", 1 crawls, ScrapyLog`,
		},
		"progress in a dump":   {inside(strings.TrimSpace(crawled7)), five},
		"progress that is cut": {crawled7[:len(crawled7)-3], nothing},
		"progress cut after half": {
			crawled7 + crawled7[:100],
			`7 items, 9 responses, - requests, - errors, not final, "", 0 crawls, ScrapyLog`,
		},
		"progress with rates of no sense": {
			"Crawled 9 pages (at inf pages/min), scraped 7 items (at -1.5e+07 items/min)",
			`7 items, 9 responses, - requests, - errors, not final, "", 0 crawls, ScrapyLog`,
		},
		"progress in a word":            {"xCrawled 9 pages (at 9 pages/min), scraped 7 items (at 7 items/min)", nothing},
		"negative progress":             {"Crawled 9 pages (at 9 pages/min), scraped -7 items (at 7 items/min)", nothing},
		"progress too great to be true": {strings.Replace(crawled7, "scraped 7", "scraped 9007199254740993", 1), nothing},
		"the greatest progress": {
			strings.Replace(crawled7, "scraped 7", "scraped 9007199254740992", 1),
			`9007199254740992 items, 9 responses, - requests, - errors, not final, "", 0 crawls, ScrapyLog`,
		},
		"progress with too many digits": {
			strings.Replace(crawled7, "scraped 7", "scraped "+strings.Repeat("0", 40)+"7", 1),
			nothing,
		},
		"a line of another writer":      {inside("2026-11-23 something else happened: 'why'"), five},
		"a traceback of another writer": {inside("Traceback:\n  File \"x.py\", line 7, in <module>\n    raise E()\nE"), five},
		"an empty line":                 {inside(""), five},
		"a blank line":                  {inside("   "), five},
		"a printed dict inside":         {inside("{'price': 7}"), five},
		"a printed list inside a value": {
			entry(" 'item_scraped_count': 5,\n 'shops': {'a': 1,\n[1, 2]]}}\n           'b': 2},"),
			five,
		},
		"a printed dict before":          {header + "{'price': 7}\n{\"price\": 8}\n[{'item_scraped_count': 3}]\n" + dump5, five},
		"half a line glued to another":   {inside("progress 45% 'item_scraped_count': 500,"), five},
		"a line that is torn":            {entry(" 'item_scraped_cou2026-11-23 hello\nnt': 5,"), uncounted},
		"a line with something after it": {entry(" 'item_scraped_count': 5, oops"), uncounted},
		"a count with something after":   {entry(" 'item_scraped_count': 5 oops,"), uncounted},
		"a count given twice":            {inside(" 'item_scraped_count': 9,"), uncounted},
		"no items": {
			entry(" 'item_dropped_count': 5,"),
			`0 items, 6 responses, 6 requests, 1 errors, final, "finished", 1 crawls, ScrapyStats`,
		},
		"items that are no number":   {entry(" 'item_scraped_count': '5',"), uncounted},
		"items that are negative":    {entry(" 'item_scraped_count': -5,"), uncounted},
		"items that are a fraction":  {entry(" 'item_scraped_count': 5.0,"), five},
		"items that are None":        {entry(" 'item_scraped_count': None,"), uncounted},
		"items that are a list":      {entry(" 'item_scraped_count': [5],"), uncounted},
		"items too great to be true": {entry(" 'item_scraped_count': 9007199254740993,"), uncounted},
		"items in another value only": {
			entry(" 'shops': {'item_scraped_count': 5},"),
			`0 items, 6 responses, 6 requests, 1 errors, final, "finished", 1 crawls, ScrapyStats`,
		},
		"other counts of no sense": {
			header + "{'item_scraped_count': 5, 'log_count/ERROR': -1, 'response_received_count': None, 'downloader/request_count': 'x'}",
			`5 items, - responses, - requests, - errors, final, "", 1 crawls, ScrapyStats`,
		},
		"no finish reason": {
			reasoned("None"),
			`5 items, 0 responses, - requests, 0 errors, final, "", 1 crawls, ScrapyStats`,
		},
		"a reason in two pieces": {
			reasoned("'out of '\n                  'stock'"),
			`5 items, 0 responses, - requests, 0 errors, final, "out of stock", 1 crawls, ScrapyStats`,
		},
		"a reason in parentheses": {reasoned("('out of '\n 'stock')"), nothing},
		"a reason with quotes": {
			reasoned(`'it\'s "x"'`),
			`5 items, 0 responses, - requests, 0 errors, final, "it's \"x\"", 1 crawls, ScrapyStats`,
		},
		"a reason in double quotes": {
			reasoned(`"it's"`),
			`5 items, 0 responses, - requests, 0 errors, final, "it's", 1 crawls, ScrapyStats`,
		},
		"a reason with control marks": {
			reasoned(`'a\x1b[31mb\u202ec\ud800d\U0001f4da\n'`),
			`5 items, 0 responses, - requests, 0 errors, final, "ab c d📚", 1 crawls, ScrapyStats`,
		},
		"a reason that is too long": {
			reasoned("'" + strings.Repeat("é", 500) + "'"),
			`5 items, 0 responses, - requests, 0 errors, final, "éééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééé", 1 crawls, ScrapyStats`,
		},
		"a reason that does not end": {reasoned("'finished"), nothing},
		"a reason with a bad escape": {
			reasoned(`'\q'`),
			`5 items, 0 responses, - requests, 0 errors, final, "", 1 crawls, ScrapyStats`,
		},
		"a reason with a cut escape": {reasoned(`'\u12`), nothing},
		"a reason that is an enum": {
			reasoned("<Reason.FINISHED: 'finished'>"),
			`5 items, 0 responses, - requests, 0 errors, final, "", 1 crawls, ScrapyStats`,
		},
		"a reason that is bytes": {
			reasoned("b'finished'"),
			`5 items, 0 responses, - requests, 0 errors, final, "", 1 crawls, ScrapyStats`,
		},
		"a value that never ends": {reasoned("[[(("), nothing},
		"brackets that do not match": {
			reasoned("[(])"),
			`5 items, - responses, - requests, - errors, not final, "", 1 crawls, ScrapyStats`,
		},
		"a value nested as allowed": {
			reasoned(strings.Repeat("[", 31) + strings.Repeat("]", 31)),
			`5 items, 0 responses, - requests, 0 errors, final, "", 1 crawls, ScrapyStats`,
		},
		"a value nested too deep": {
			reasoned(strings.Repeat("[", 32) + strings.Repeat("]", 32)),
			`5 items, - responses, - requests, - errors, not final, "", 1 crawls, ScrapyStats`,
		},
		"an object that does not end": {reasoned("<object"), nothing},
		"a key without a value":       {header + "{'item_scraped_count'}", nothing},
		"a key with an empty value": {
			header + "{'item_scraped_count': , 'finish_reason': 'x'}",
			`0 items, - responses, - requests, - errors, not final, "x", 1 crawls, None`,
		},
		"a value without a key": {header + "{: 5, 'finish_reason': 'x'}", nothing},
		"two values":            {header + "{'item_scraped_count': 5: 6}", nothing},
		"two commas":            {header + "{'item_scraped_count': 5,, 'a': 1}", nothing},
		"a comma at the end": {
			header + "{'item_scraped_count': 5,}",
			`5 items, 0 responses, - requests, 0 errors, final, "", 1 crawls, ScrapyStats`,
		},
		"a key in two pieces": {header + "{'item_scraped'\n '_count': 5}", nothing},
		"a key of bytes": {
			header + "{b'item_scraped_count': 5, 'start_time': 1}",
			`0 items, 0 responses, - requests, 0 errors, final, "", 1 crawls, ScrapyStats`,
		},
		"binary":               {"\x00\xff\xfe\n" + header + "\x80\x81\n" + dump5 + "\x00", five},
		"a terminal's colours": {"\x1b[32m" + header + strings.TrimSpace(dump5) + "\x1b[0m", five},
		"much behind it":       {header + dump5 + strings.Repeat("Traceback of a browser\n", 25000), five},
	} {
		t.Run(name, func(t *testing.T) {
			if got := brief(parseLog([]byte(test.log))); got != test.want {
				t.Errorf("got:  %s\nwant: %s", got, test.want)
			}
		})
	}
}

// TestLogAmongOtherLines puts lines of another writer anywhere between those of a dump: the counts are those of the
// dump, or unknown, but never wrong. (A line that is an entry of a dict, colon and all, is forged and not meant here.)
func TestLogAmongOtherLines(t *testing.T) {
	want := dumped(5, 6, 6, 1, "finished")
	otherLine := rapid.OneOf(rapid.StringMatching(`[ -9;-~]{0,40}`), rapid.StringMatching(` {1,2}['"a5<({\[\]}) ,>]{0,6}`))
	rapid.Check(t, func(t *rapid.T) {
		var log strings.Builder
		log.WriteString(header)
		for line := range strings.Lines(dump5) {
			for _, other := range rapid.SliceOfN(otherLine, 0, 3).Draw(t, "lines") {
				log.WriteString(other + "\n")
			}
			log.WriteString(line)
		}
		got, ok := parseLog([]byte(log.String()))
		if !ok {
			return
		}
		if diff := cmp.Diff(essence(*want), essence(got)); diff != "" {
			t.Fatalf("counts (-want +got):\n%s\nof:\n%s", diff, log.String())
		}
	})
}

// TestLogTakesLinearTime feeds logs that would be slow to parse if any part of them were looked at again and again.
func TestLogTakesLinearTime(t *testing.T) {
	for name, piece := range map[string]string{
		"headers":       "Dumping Scrapy stats:\n{",
		"dumps":         header + "{'item_scraped_count': 1}\n",
		"open dicts":    "Dumping Scrapy stats:\n{'a': [\n",
		"crawled":       "Crawled ",
		"strings":       "'a'",
		"backslashes":   `\`,
		"angles":        "<",
		"open brackets": "[",
		"empty lines":   "\n",
	} {
		for _, start := range []string{"", header + "{", header + "{'a': "} {
			begun := time.Now()
			parseLog([]byte(start + strings.Repeat(piece, 1<<20/len(piece))))
			// What looks at all of it again for each piece takes minutes, on any machine.
			if took := time.Since(begun); took > 20*time.Second {
				t.Errorf("a MiB of %s after %q took %v", name, start, took)
			}
		}
	}
}

func FuzzLog(f *testing.F) {
	for _, log := range allLogs(f) {
		f.Add(log, uint16(1000))
	}
	f.Add([]byte(header+dump5+crawled7), uint16(3))
	f.Add([]byte(header+`{'a': b"\x00", 'b': <x>, 'c': {1: (2, [3])}, 'item_scraped_count': 5}`), uint16(70))
	f.Add([]byte(`{"log":"x Dumping Scrapy stats:\n{'item_scraped_count': 1}\n"}`), uint16(20))
	f.Add([]byte(`msg="Dumping Scrapy stats:\n{'finish_reason': 'a',\n 'item_scraped_count': 1}"`), uint16(20))
	f.Add(
		[]byte("Dumping Scrapy stats: {'finish_reason': it's,  'item_scraped_count': 1,  'start_time': 1}\nSpider closed (x)"),
		uint16(20),
	)
	f.Fuzz(func(t *testing.T, log []byte, cut uint16) {
		counts, ok := parseLog(log)
		assertBounded(t, counts, ok)
		switch counts.Origin {
		case v1alpha1.OriginScrapyStats, v1alpha1.OriginScrapyLog, v1alpha1.OriginNone, "":
		default:
			t.Errorf("origin %q", counts.Origin)
		}
		if counts.Final && counts.Origin != v1alpha1.OriginScrapyStats {
			t.Errorf("final counts of %s", counts.Origin)
		}
		// A log is read the same whatever came long before, and in whatever pieces.
		var l Log
		_, _ = l.Write([]byte("a line before\n"))
		for rest := log; len(rest) > 0; {
			n := min(int(cut)+1, len(rest))
			_, _ = l.Write(rest[:n])
			rest = rest[n:]
		}
		l.End()
		again, okAgain := l.Counts()
		if ok != okAgain || !cmp.Equal(counts, again) {
			t.Errorf("in pieces, with a line before it: %+v, whole: %+v", again, counts)
		}
	})
}

// realLogs are the logs that testdata/record.py has recorded.
func realLogs(t testing.TB) map[string][]byte { return logsIn(t, "logs") }

// allLogs are all logs in testdata.
func allLogs(t testing.TB) map[string][]byte {
	logs := realLogs(t)
	for name, log := range logsIn(t, "cases") {
		logs["cases/"+name] = log
	}
	for name, row := range corpus(t) {
		logs[name] = row.log
	}
	return logs
}

func logsIn(t testing.TB, folder string) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob("testdata/" + folder + "/*.log")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no logs in testdata/%s: %v", folder, err)
	}
	logs := map[string][]byte{}
	for _, path := range paths {
		log, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		logs[strings.TrimSuffix(filepath.Base(path), ".log")] = log
	}
	return logs
}

// assertCounts compares counts with those wanted; nil stands for unknown.
func assertCounts(t *testing.T, got Counts, ok bool, want *Counts) {
	t.Helper()
	switch {
	case want == nil && ok:
		t.Errorf("got %s, want nothing", describe(got))
	case want != nil && !ok:
		t.Errorf("got nothing, want %s", describe(*want))
	case want != nil:
		if diff := cmp.Diff(essence(*want), essence(got)); diff != "" {
			t.Errorf("counts (-want +got):\n%s", diff)
		}
	}
}

// essence leaves out of counts what the tests of single values are for.
func essence(c Counts) Counts {
	return Counts{
		Items:        c.Items,
		Responses:    c.Responses,
		Requests:     c.Requests,
		Errors:       c.Errors,
		FinishReason: c.FinishReason,
		Failure:      c.Failure,
		Crawls:       c.Crawls,
		Origin:       c.Origin,
		Final:        c.Final,
	}
}

func describe(c Counts) string { return brief(c, true) }

// number is a count as text.
func number(n *int64) string {
	if n == nil {
		return "-"
	}
	return strconv.FormatInt(*n, 10)
}

// brief is what tests compare of counts, as text.
func brief(c Counts, ok bool) string {
	if !ok {
		return "nothing"
	}
	final := "not final"
	if c.Final {
		final = "final"
	}
	return fmt.Sprintf("%d items, %s responses, %s requests, %s errors, %s, %q, %d crawls, %s",
		c.Items, number(c.Responses), number(c.Requests), number(c.Errors), final, c.FinishReason, c.Crawls, c.Origin)
}
