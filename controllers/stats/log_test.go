package stats

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// dumped are the counts of a dump in which all of the usual stats are there.
func dumped(items, responses, requests, errors int64, reason string) *Counts {
	return &Counts{
		Items: items, Responses: &responses, Requests: &requests, Errors: &errors,
		FinishReason: reason, Origin: v1alpha1.OriginScrapyStats, Final: true,
	}
}

// progressed are the counts of a progress line.
func progressed(pages, items int64) *Counts {
	return &Counts{Items: items, Responses: &pages, Origin: v1alpha1.OriginScrapyLog}
}

// TestParseLogOfRealRuns reads the logs that testdata/record.py has recorded.
func TestParseLogOfRealRuns(t *testing.T) {
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
		"no-pages":               {Responses: new(int64), Errors: new(int64), FinishReason: "finished", Origin: v1alpha1.OriginScrapyStats, Final: true},
		"odd-stats":              dumped(25, 25, 25, 0, "finished"),
		"printing":               dumped(25, 25, 25, 0, "finished"),
		"construction-fails":     nil,
		"format-bare":            dumped(25, 25, 25, 0, "finished"),
		"format-around":          dumped(25, 25, 25, 0, "finished"),
		"no-dump":                progressed(0, 0),
		"no-corestats":           progressed(0, 0), // nothing counts items there, so the dump does not say that there were none
		"level-error":            nil,
		"several-sequential":     dumped(6, 6, 6, 0, "finished"),
		"several-parallel":       dumped(20, 20, 20, 0, "finished"),
	}
	logs := realLogs(t)
	if len(logs) != len(want) {
		t.Errorf("there are %d logs and expectations of %d", len(logs), len(want))
	}
	for name, log := range logs {
		t.Run(name, func(t *testing.T) {
			got, ok := ParseLog(log)
			assertCounts(t, got, ok, want[name])
		})
		t.Run(name+" with CRLF", func(t *testing.T) {
			got, ok := ParseLog(bytes.ReplaceAll(log, []byte("\n"), []byte("\r\n")))
			assertCounts(t, got, ok, want[name])
		})
	}
}

// TestParseLogCutAnywhere cuts real logs at head and tail: what is left of a dump is never taken for a whole one.
func TestParseLogCutAnywhere(t *testing.T) {
	for name, log := range realLogs(t) {
		whole, _ := ParseLog(log)
		for range 2000 {
			from := rand.IntN(len(log) + 1)
			to := from + rand.IntN(len(log)-from+1)
			got, ok := ParseLog(log[from:to])
			if !ok || strings.HasPrefix(name, "several-") {
				continue
			}
			if got.Final {
				if diff := cmp.Diff(whole, got); diff != "" {
					t.Fatalf("%s from %d to %d gives other final counts (-whole +cut):\n%s", name, from, to, diff)
				}
			} else if got.Items > whole.Items {
				t.Fatalf("%s from %d to %d gives %d items, the whole %d", name, from, to, got.Items, whole.Items)
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

func TestParseLog(t *testing.T) {
	five := dumped(5, 6, 6, 1, "finished")
	unfinished := dumped(5, 6, 6, 1, "")
	unfinished.Final = false
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
	zero := int64(0)
	withReason := func(reason string) *Counts {
		return &Counts{
			Items: 5, Responses: &zero, Errors: &zero, FinishReason: reason, Origin: v1alpha1.OriginScrapyStats, Final: true,
		}
	}

	tests := map[string]struct {
		log  string
		want *Counts
	}{
		"nothing":                          {"", nil},
		"a dump":                           {header + dump5, five},
		"a dump without its last line":     {header + dump5[:strings.LastIndex(dump5, " 'start")], nil},
		"a dump without its header":        {dump5, nil},
		"a dump whose header is cut":       {header[len(header)-10:] + dump5, nil},
		"another word before the header's": {"NotDumping Scrapy stats:\n" + dump5, nil},
		"text after the header's":          {strings.TrimSpace(header) + " soon\n" + dump5, nil},
		"a dump in one line":               {header + "{'item_scraped_count': 5, 'finish_reason': 'finished'}", withReason("finished")},
		"an empty dump":                    {header + "{}\n", nil},
		"two dumps":                        {header + "{'item_scraped_count': 9}\n" + header + dump5, five},
		"a dump in a dump":                 {header + dump5[:60] + "\n" + header + dump5, five},
		"a dump after a broken one":        {header + "{'item_scraped_count': ]\n" + header + dump5, five},
		"a broken dump after a dump":       {header + dump5 + header + dump5[:60], five},

		"progress":                        {crawled7, progressed(9, 7)},
		"progress before a dump":          {crawled7 + header + dump5, five},
		"more progress after a dump":      {header + dump5 + crawled7, progressed(9, 7)},
		"less progress after a dump":      {header + dump5 + strings.Replace(crawled7, "scraped 7", "scraped 2", 1), unfinished},
		"progress in a dump":              {inside(strings.TrimSpace(crawled7)), five},
		"progress that is cut":            {crawled7[:len(crawled7)-3], nil},
		"progress cut after half":         {crawled7 + crawled7[:100], progressed(9, 7)},
		"progress with rates of no sense": {"Crawled 9 pages (at inf pages/min), scraped 7 items (at -1.5e+07 items/min)", progressed(9, 7)},
		"progress in a word":              {"xCrawled 9 pages (at 9 pages/min), scraped 7 items (at 7 items/min)", nil},
		"negative progress":               {"Crawled 9 pages (at 9 pages/min), scraped -7 items (at 7 items/min)", nil},
		"progress too great to be true":   {strings.Replace(crawled7, "scraped 7", "scraped 9007199254740993", 1), nil},
		"the greatest progress":           {strings.Replace(crawled7, "scraped 7", "scraped 9007199254740992", 1), progressed(9, MaxCount)},
		"progress with too many digits":   {strings.Replace(crawled7, "scraped 7", "scraped "+strings.Repeat("0", 40)+"7", 1), nil},

		"a line of another writer":      {inside("2026-11-23 something else happened: 'why'"), five},
		"a traceback of another writer": {inside("Traceback:\n  File \"x.py\", line 7, in <module>\n    raise E()\nE"), five},
		"an empty line":                 {inside(""), five},
		"a blank line":                  {inside("   "), five},
		"a printed dict inside":         {inside("{'price': 7}"), five},
		"a printed list inside a value": {
			entry(" 'item_scraped_count': 5,\n 'shops': {'a': 1,\n[1, 2]]}}\n           'b': 2},"), five,
		},
		"a printed dict before":          {header + "{'price': 7}\n{\"price\": 8}\n[{'item_scraped_count': 3}]\n" + dump5, five},
		"half a line glued to another":   {inside("progress 45% 'item_scraped_count': 500,"), nil},
		"a line that is torn":            {entry(" 'item_scraped_cou2026-11-23 hello\nnt': 5,"), nil},
		"a line with something after it": {entry(" 'item_scraped_count': 5, oops"), nil},
		"a count with something after":   {entry(" 'item_scraped_count': 5 oops,"), nil},
		"a count given twice":            {inside(" 'item_scraped_count': 9,"), nil},

		"no items":                    {entry(" 'item_dropped_count': 5,"), dumped(0, 6, 6, 1, "finished")},
		"items that are no number":    {entry(" 'item_scraped_count': '5',"), nil},
		"items that are negative":     {entry(" 'item_scraped_count': -5,"), nil},
		"items that are a fraction":   {entry(" 'item_scraped_count': 5.0,"), nil},
		"items that are None":         {entry(" 'item_scraped_count': None,"), nil},
		"items that are a list":       {entry(" 'item_scraped_count': [5],"), nil},
		"items too great to be true":  {entry(" 'item_scraped_count': 9007199254740993,"), nil},
		"items in another value only": {entry(" 'shops': {'item_scraped_count': 5},"), dumped(0, 6, 6, 1, "finished")},
		"other counts of no sense": {
			header + "{'item_scraped_count': 5, 'log_count/ERROR': -1, 'response_received_count': None, 'downloader/request_count': 'x'}",
			&Counts{Items: 5, Origin: v1alpha1.OriginScrapyStats, Final: true},
		},

		"no finish reason":            {reasoned("None"), withReason("")},
		"a reason in two pieces":      {reasoned("'out of '\n                  'stock'"), withReason("out of stock")},
		"a reason in parentheses":     {reasoned("('out of '\n 'stock')"), withReason("")},
		"a reason with quotes":        {reasoned(`'it\'s "x"'`), withReason(`it's "x"`)},
		"a reason in double quotes":   {reasoned(`"it's"`), withReason("it's")},
		"a reason with control marks": {reasoned(`'a\x1b[31mb\u202ec\ud800d\U0001f4da\n'`), withReason("a [31mb c d\U0001f4da")},
		"a reason that is too long":   {reasoned("'" + strings.Repeat("é", 500) + "'"), withReason(strings.Repeat("é", 64))},
		"a reason that does not end":  {reasoned("'finished"), nil},
		"a reason with a bad escape":  {reasoned(`'\q'`), nil},
		"a reason with a cut escape":  {reasoned(`'\u12`), nil},
		"a reason that is an enum":    {reasoned("<Reason.FINISHED: 'finished'>"), withReason("")},
		"a reason that is bytes":      {reasoned("b'finished'"), withReason("")},
		"a value that never ends":     {reasoned("[[(("), nil},
		"brackets that do not match":  {reasoned("[(])"), nil},
		"a value nested as allowed":   {reasoned(strings.Repeat("[", 31) + strings.Repeat("]", 31)), withReason("")},
		"a value nested too deep":     {reasoned(strings.Repeat("[", 32) + strings.Repeat("]", 32)), nil},
		"an object that does not end": {reasoned("<object"), nil},
		"a key without a value":       {header + "{'item_scraped_count'}", nil},
		"a key with an empty value":   {header + "{'item_scraped_count': , 'finish_reason': 'x'}", nil},
		"a value without a key":       {header + "{: 5, 'finish_reason': 'x'}", nil},
		"two values":                  {header + "{'item_scraped_count': 5: 6}", nil},
		"two commas":                  {header + "{'item_scraped_count': 5,, 'a': 1}", nil},
		"a comma at the end":          {header + "{'item_scraped_count': 5,}", nil},
		"a key in two pieces":         {header + "{'item_scraped'\n '_count': 5}", nil},
		"a key of bytes":              {header + "{b'item_scraped_count': 5, 'start_time': 1}", &Counts{Responses: &zero, Errors: &zero, Origin: v1alpha1.OriginScrapyStats, Final: true}},
		"binary":                      {"\x00\xff\xfe\n" + header + "\x80\x81\n" + dump5 + "\x00", five},
		"a terminal's colours":        {"\x1b[32m" + header + strings.TrimSpace(dump5) + "\x1b[0m", five},
		"more than is looked at":      {header + dump5 + strings.Repeat("x\n", MaxLog/2), nil},
		"as much as is looked at":     {header + dump5 + strings.Repeat("x", MaxLog-len(header)-len(dump5)), five},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, ok := ParseLog([]byte(test.log))
			assertCounts(t, got, ok, test.want)
		})
	}
}

// TestParseLogAmongOtherLines puts lines of another writer anywhere between those of a dump: the counts are those of the
// dump, or unknown, but never wrong. (A line that is an entry of a dict, colon and all, is forged and not meant here.)
func TestParseLogAmongOtherLines(t *testing.T) {
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
		got, ok := ParseLog([]byte(log.String()))
		if !ok {
			return
		}
		if diff := cmp.Diff(*want, got); diff != "" {
			t.Fatalf("counts (-want +got):\n%s\nof:\n%s", diff, log.String())
		}
	})
}

// TestParseLogTakesLinearTime feeds what would be slow if any of it were looked at again and again.
func TestParseLogTakesLinearTime(t *testing.T) {
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
			ParseLog([]byte(start + strings.Repeat(piece, MaxLog/len(piece))))
			if took := time.Since(begun); took > time.Second {
				t.Errorf("64 KiB of %s after %q took %v", name, start, took)
			}
		}
	}
}

func FuzzParseLog(f *testing.F) {
	for _, log := range realLogs(f) {
		f.Add(log)
	}
	f.Add([]byte(header + dump5 + crawled7))
	f.Add([]byte(header + `{'a': b"\x00", 'b': <x>, 'c': {1: (2, [3])}, 'item_scraped_count': 5}`))
	f.Fuzz(func(t *testing.T, log []byte) {
		counts, ok := ParseLog(log)
		assertBounded(t, counts, ok)
		if ok && counts.Origin != v1alpha1.OriginScrapyStats && counts.Origin != v1alpha1.OriginScrapyLog {
			t.Errorf("origin %q", counts.Origin)
		}
		// A log is read the same whatever came long before, and its counts only change with what is written later.
		again, okAgain := ParseLog(append([]byte("a line before\n"), log...))
		if len(log) < MaxLog-100 && (ok != okAgain || !cmp.Equal(counts, again)) {
			t.Errorf("with a line before it: %+v, without: %+v", again, counts)
		}
	})
}

func realLogs(t testing.TB) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob("testdata/logs/*.log")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no logs in testdata: %v", err)
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
		if diff := cmp.Diff(*want, got); diff != "" {
			t.Errorf("counts (-want +got):\n%s", diff)
		}
	}
}

func describe(c Counts) string {
	return fmt.Sprintf("%d items of origin %s, final: %v, reason %q", c.Items, c.Origin, c.Final, c.FinishReason)
}
