package stats

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// record is what a process logs at once: a line, or several.
type record struct{ place, text string }

// crawl are the records of a crawl with the given dump.
func crawl(dump, reason string) []record {
	const engine = "[scrapy.core.engine] INFO: "
	return []record{
		{"[scrapy.utils.log] INFO: ", "Scrapy 2.12.0 started (bot: shop)"},
		{engine, "Spider opened"},
		{"[scrapy.extensions.logstats] INFO: ", "Crawled 0 pages (at 0 pages/min), scraped 0 items (at 0 items/min)"},
		{
			"[shop] ERROR: ",
			"Gave up on <GET https://shop.example/9>\nTraceback (most recent call last):\n  File \"x.py\", line 7, in parse\nValueError: it's {gone}",
		},
		{engine, "Closing spider (" + reason + ")"},
		{"[scrapy.statscollectors] INFO: ", "Dumping Scrapy stats:\n" + dump},
		{engine, "Spider closed (" + reason + ")"},
	}
}

// dumps are dumps of all kinds, by what is right.
var dumps = map[string]struct{ text, want string }{
	"usual": {
		usualDump("'item_scraped_count': 12"),
		`12 items, 12 responses, 15 requests, 1 errors, final, "finished", 1 crawls, ScrapyStats`,
	},
	"no items": {
		usualDump("'item_dropped_count': 3"),
		`0 items, 12 responses, 15 requests, 1 errors, final, "finished", 1 crawls, ScrapyStats`,
	},
	"odd keys": {
		usualDump("'item_scraped_count': 12,\n None: 1,\n b'k': 3,\n 3: 1,\n ('a', 1): 2,\n <Kind.OK: 'ok'>: 4,\n 1.5: 'x'"),
		`12 items, 12 responses, 15 requests, 1 errors, final, "finished", 1 crawls, ScrapyStats`,
	},
	"odd values": {
		usualDump(
			"'a': <object object at 0x7f3acba02310>,\n 'b': Decimal('7'),\n 'c': [1.5, 1e-07, inf, nan],\n 'd': {'item_scraped_count': 99},\n" +
				" 'e': \"it's\",\n 'f': 'it\\'s a \"quote\"',\n 'g': 'x' * 3,\n 'h': None,\n 'i': 1e3,\n 'item_scraped_count': 12,\n 'j': b'\\x00\\xff',\n" +
				" 'k': 'one\\ntwo\\titem_scraped_count\\': 5,',\n 'l': np.int64(7),\n 'm': array([1, 2]),\n 'n': 'a, b: {c'",
		),
		`12 items, 12 responses, 15 requests, 1 errors, final, "finished", 1 crawls, ScrapyStats`,
	},
	"items of numpy": {
		usualDump("'item_scraped_count': np.int64(12)"),
		`12 items, 12 responses, 15 requests, 1 errors, final, "finished", 1 crawls, ScrapyStats`,
	},
	"a nested dict": {
		usualDump(
			"'item_scraped_count': 12,\n 'shops': {'a': {'item_scraped_count': 5},\n           'b': {'item_scraped_count': 7,\n                 'x': (1,\n                       2)}}",
		),
		`12 items, 12 responses, 15 requests, 1 errors, final, "finished", 1 crawls, ScrapyStats`,
	},
}

func usualDump(entries string) string {
	return "{'downloader/exception_count': 3,\n 'downloader/request_count': 15,\n 'downloader/response_status_count/200': 11,\n" +
		" 'downloader/response_status_count/503': 1,\n 'elapsed_time_seconds': 61.9,\n 'finish_reason': 'finished',\n" +
		" 'finish_time': datetime.datetime(2026, 11, 26, 11, 33, 29, 521524, tzinfo=datetime.timezone.utc),\n " + entries + ",\n 'log_count/ERROR': 1,\n" +
		" 'memusage/max': 76832768,\n 'response_received_count': 12,\n 'retry/count': 2,\n" +
		" 'start_time': datetime.datetime(2026, 11, 26, 11, 32, 27, 587, tzinfo=datetime.timezone.utc)}"
}

// brokenDumps hold values that are no Python. Where a look leaves no lines apart they are read loosely.
var brokenDumps = map[string]string{
	"a comma":              "'custom/x': a, b",
	"an apostrophe":        "'custom/x': it's",
	"two apostrophes":      "'custom/x': it's, 'item_scraped_count': 99, 'y': it's",
	"a bracket":            "'custom/x': a(b",
	"brackets":             "'custom/x': )a]b}",
	"an angle":             "'custom/x': a < b",
	"a colon":              "'custom/x': a: b",
	"nothing":              "'custom/x': ",
	"a quote":              `'custom/x': "`,
	"a dict that is open":  "'custom/x': {'a': ",
	"the end of the dict":  "'custom/x': a}",
	"a key that is broken": "it's: 7",
}

// stamp gives a record the look of Scrapy's own format.
func stamp(n int, r record) string {
	return fmt.Sprintf("2026-11-26 11:33:%02d %s%s", n%60, r.place, r.text)
}

// lines joins records that were given a look.
func lines(records []record, look func(n int, r record) string) string {
	var log strings.Builder
	for n, r := range records {
		log.WriteString(look(n, r) + "\n")
	}
	return log.String()
}

// each gives every line of a usual log a look.
func each(look func(n int, line string) string) func([]record) string {
	return func(records []record) string {
		var log strings.Builder
		n := 0
		for line := range strings.Lines(lines(records, stamp)) {
			log.WriteString(look(n, strings.TrimSuffix(line, "\n")) + "\n")
			n++
		}
		return log.String()
	}
}

// prefixed puts a prefix before every line, in which %d is a number of the line's.
func prefixed(prefix string) func([]record) string {
	return each(func(n int, line string) string {
		return strings.ReplaceAll(prefix, "%d", strconv.Itoa(n*n*7919%100000)) + line
	})
}

// message gives every record a look, from its text in Scrapy's own format.
func message(look func(n int, text string) string) func([]record) string {
	return func(records []record) string {
		return lines(records, func(n int, r record) string { return look(n, stamp(n, r)) })
	}
}

func encoded(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// repr is how Python writes a string.
func repr(text string) string {
	quote := "'"
	if strings.Contains(text, "'") && !strings.Contains(text, `"`) {
		quote = `"`
	}
	text = strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\t", `\t`, quote, `\`+quote).Replace(text)
	return quote + text + quote
}

var looksOfLines = map[string]func([]record) string{
	"Scrapy's own":   func(r []record) string { return lines(r, stamp) },
	"bare":           func(r []record) string { return lines(r, func(_ int, r record) string { return r.text }) },
	"CRLF":           func(r []record) string { return strings.ReplaceAll(lines(r, stamp), "\n", "\r\n") },
	"CR":             func(r []record) string { return strings.ReplaceAll(lines(r, stamp), "\n", "\r") },
	"a progress bar": each(func(n int, line string) string { return fmt.Sprintf("\r%d%%|###   |\r%s", n, line) }),
	"the place behind": func(r []record) string {
		return lines(r, func(_ int, r record) string { return r.text + " " + r.place + "(x.py:7)" })
	},
	"loguru": func(r []record) string {
		return lines(r, func(n int, r record) string {
			return fmt.Sprintf("2026-11-26 11:33:%02d.521 | INFO     | logging:callHandlers:1762 - %s", n, r.text)
		})
	},
	"structlog": func(r []record) string {
		return lines(r, func(n int, r record) string {
			return fmt.Sprintf(
				"2026-11-26T11:33:%02dZ [\x1b[32m\x1b[1minfo     \x1b[0m] \x1b[1m%-30s\x1b[0m [\x1b[34mscrapy\x1b[0m]\x1b[0m \x1b[36mspider\x1b[0m=\x1b[35m<Shop 'shop'>\x1b[0m",
				n, r.text,
			)
		})
	},
	"colours": func(r []record) string {
		return lines(r, func(n int, r record) string { return "\x1b[32m" + stamp(n, r) + "\x1b[0m" })
	},
	"coloured numbers": func(r []record) string {
		return regexp.MustCompile(`\d+`).ReplaceAllString(lines(r, stamp), "\x1b[1;36m$0\x1b[0m")
	},
	"a title": func(r []record) string {
		return lines(r, func(n int, r record) string { return "\x1b]0;shop\a" + stamp(n, r) })
	},
	"honcho":            prefixed("12:00:01 spider.1 | "),
	"honcho, coloured":  prefixed("\x1b[36m12:00:01 spider.1 | \x1b[0m"),
	"docker compose":    prefixed("spider-1  | "),
	"kubectl":           prefixed("[pod/shop-x7f2d/spider] "),
	"systemd":           prefixed("Nov 26 11:33:01 node7 python3[%d]: "),
	"RFC 3339":          prefixed("2026-11-26T11:33:%d.%d123Z "),
	"CRI":               prefixed("2026-11-26T11:33:57.%d+00:00 stderr F "),
	"two prefixes":      prefixed("2026-11-26T11:33:57.%dZ spider-1  | "),
	"a bracket":         prefixed("[%d] "),
	"an arrow":          prefixed("shop> "),
	"blanks":            prefixed("    "),
	"many blanks":       prefixed("                "),
	"a tab":             prefixed("\t"),
	"a tab behind":      prefixed("spider:\t"),
	"the whole stamp":   prefixed("2026-11-26 11:33:29 [scrapy.statscollectors] INFO: "),
	"lines trimmed":     each(func(_ int, line string) string { return strings.TrimSpace(line) }),
	"trimmed, prefixed": each(func(_ int, line string) string { return "INFO:spider:" + strings.TrimSpace(line) }),
	"blanks behind":     each(func(_ int, line string) string { return line + "   " }),
	"docker's JSON": each(func(_ int, line string) string {
		return encoded(map[string]string{"log": line + "\n", "stream": "stderr", "time": "2026-11-26T11:33:57.1Z"})
	}),
	"JSON of every line": each(func(n int, line string) string {
		return "spider-1 | " + encoded(
			map[string]any{"level": "info", "msg": line, "n": n, "extra": map[string]any{"message": []int{1}}},
		)
	}),
	"others between": each(func(n int, line string) string {
		return line + fmt.Sprintf("\n%d worker says {'price': 7}\n\n{\"price\": 8}\nit's a line\n[1, 2]]}", n)
	}),
	"JSON": message(func(_ int, text string) string {
		return encoded(map[string]any{"asctime": "2026", "message": text, "levelname": "INFO", "taskName": nil})
	}),
	"JSON, the text alone": func(r []record) string {
		return lines(r, func(_ int, r record) string { return encoded(map[string]any{"event": r.text, "logger": r.place}) })
	},
	"JSON under another name": message(func(_ int, text string) string { return encoded(map[string]any{"m": text, "level": 20}) }),
	"JSON in JSON": message(func(_ int, text string) string {
		return encoded(map[string]any{"log": encoded(map[string]any{"message": text}) + "\n", "stream": "stderr"})
	}),
	"loguru's JSON": message(func(_ int, text string) string {
		return encoded(map[string]any{"text": text + "\n", "record": map[string]any{"message": text, "line": 7}})
	}),
	"JSON in colours": message(func(_ int, text string) string {
		return encoded(map[string]any{"message": "\x1b[32m" + text + "\x1b[0m"})
	}),
	"pretty JSON": message(func(_ int, text string) string {
		pretty, err := json.MarshalIndent(map[string]any{"event": text, "level": "info", "zone": nil}, "", "  ")
		if err != nil {
			panic(err)
		}
		return string(pretty)
	}),
	"logfmt":     message(func(_ int, text string) string { return "level=info msg=" + encoded(text) + " logger=scrapy" }),
	"repr":       message(func(_ int, text string) string { return "event=" + repr(text) + " level='info'" }),
	"repr of it": message(func(_ int, text string) string { return "INFO:root:" + repr(text) }),
	"repr in single quotes": message(func(_ int, text string) string {
		return "'" + strings.NewReplacer(`\`, `\\`, "\n", `\n`, "'", `\'`).Replace(text) + "'"
	}),
	"rich":      func(r []record) string { return rich(r, 100) },
	"a console": func(r []record) string { return rich(r, 80) },
}

var looksWithoutLines = map[string]func([]record) string{
	"one line":           message(func(_ int, text string) string { return strings.ReplaceAll(text, "\n", " ") }),
	"one line by \\n":    message(func(_ int, text string) string { return strings.ReplaceAll(text, "\n", `\n`) }),
	"no line breaks":     message(func(_ int, text string) string { return strings.ReplaceAll(text, "\n", "") }),
	"one line, prefixed": message(func(_ int, text string) string { return "spider-1 | " + strings.ReplaceAll(text, "\n", " ") }),
	"one line, in JSON": message(func(_ int, text string) string {
		return encoded(map[string]string{"msg": strings.ReplaceAll(text, "\n", " ")})
	}),
	"one line in colours": message(
		func(_ int, text string) string { return "\x1b[1m" + strings.ReplaceAll(text, "\n", " ") + "\x1b[0m" },
	),
}

// rich is the look of rich's handler: columns, in which long lines are wrapped.
func rich(records []record, width int) string {
	const left, right = 29, 22
	var log strings.Builder
	for n, r := range records {
		first := true
		for line := range strings.SplitSeq(r.text, "\n") {
			for _, piece := range wrap(line, width-left-right) {
				start, end := strings.Repeat(" ", left), strings.Repeat(" ", right)
				if first {
					start, end = fmt.Sprintf("[11/26/26 11:33:%02d] INFO     ", n), fmt.Sprintf("%*s", right, "statscollectors.py:54")
					first = false
				}
				log.WriteString(start + piece + strings.Repeat(" ", width-left-right-utf8.RuneCountInString(piece)) + end + "\n")
			}
		}
	}
	return log.String()
}

// wrap breaks a line between words, and within words that are longer than it may be.
func wrap(line string, width int) (pieces []string) {
	for len(line) > width {
		at := strings.LastIndexByte(line[:width+1], ' ')
		if at <= 1 {
			pieces, line = append(pieces, line[:width]), line[width:]
			continue
		}
		pieces, line = append(pieces, strings.TrimRight(line[:at], " ")), line[at+1:]
	}
	return append(pieces, line)
}

// TestLogInEveryFormatOfLines gives the log of a crawl every format of lines, with dumps of every kind.
func TestLogInEveryFormatOfLines(t *testing.T) {
	for kind, dump := range dumps {
		for _, looks := range []map[string]func([]record) string{looksOfLines, looksWithoutLines} {
			for look, show := range looks {
				t.Run(look+"/"+kind, func(t *testing.T) {
					log := show(crawl(dump.text, "finished"))
					if got := brief(parseLog([]byte(log))); got != dump.want {
						t.Errorf("got:  %s\nwant: %s\n%s", got, dump.want, log)
					}
				})
			}
		}
	}
}

// TestABrokenValueSpoilsOnlyItself breaks one value of a dump, at its beginning, in its middle and at its end.
func TestABrokenValueSpoilsOnlyItself(t *testing.T) {
	const want = `12 items, 12 responses, 15 requests, 1 errors, final, "finished", 1 crawls, ScrapyStats`
	for kind, entry := range brokenDumps {
		usual := usualDump("'item_scraped_count': 12")
		for place, dump := range map[string]string{
			"begins": "{" + entry + ",\n " + usual[1:],
			"within": usualDump("'item_scraped_count': 12,\n " + entry),
			"ends":   usual[:len(usual)-1] + ",\n " + entry + "}",
		} {
			for look, show := range looksOfLines {
				if look == "rich" || look == "a console" || look == "lines trimmed" || look == "trimmed, prefixed" {
					continue // no layout is left that would tell where an entry begins
				}
				t.Run(look+"/"+kind+" "+place, func(t *testing.T) {
					log := show(crawl(dump, "finished"))
					if got := brief(parseLog([]byte(log))); got != want {
						t.Errorf("got:  %s\nwant: %s\n%s", got, want, log)
					}
				})
			}
			for look, show := range looksWithoutLines {
				t.Run(look+"/"+kind+" "+place, func(t *testing.T) {
					log := show(crawl(dump, "finished"))
					got, _ := parseLog([]byte(log))
					if got.Final && got.Items != 12 {
						t.Errorf("got:  %s\n%s", describe(got), log)
					}
				})
			}
		}
	}
}

// TestLogInEveryFormatCutAnywhere cuts the logs of every format at head and tail: final counts are those of the whole log, and
// no more is ever counted.
func TestLogInEveryFormatCutAnywhere(t *testing.T) {
	kinds := map[string]string{}
	for kind, dump := range dumps {
		kinds[kind] = dump.text
	}
	for kind, entry := range brokenDumps {
		usual := usualDump("'item_scraped_count': 12")
		kinds[kind+" begins"] = "{" + entry + ",\n " + usual[1:]
		kinds[kind+" within"] = usualDump("'item_scraped_count': 12,\n " + entry)
		kinds[kind+" ends"] = usual[:len(usual)-1] + ",\n " + entry + "}"
	}
	for kind, dump := range kinds {
		want := int64(12)
		if kind == "no items" {
			want = 0
		}
		for _, looks := range []map[string]func([]record) string{looksOfLines, looksWithoutLines} {
			for look, show := range looks {
				log := show(crawl(dump, "finished"))
				for range cuts {
					from := rand.IntN(len(log)) * rand.IntN(2)
					to := from + rand.IntN(len(log)-from+1)
					got, _ := parseLog([]byte(log[from:to]))
					if got.Final && got.Items != want || got.Items > want && !strings.Contains(kind, "apostrophes") {
						t.Fatalf("%s, %s, from %d to %d of %d: %s\n%s", look, kind, from, to, len(log), describe(got), log[from:to])
					}
				}
			}
		}
	}
}

// cuts is how often each log is cut.
const cuts = 10

// TestLogOfTheCases checks the logs of testdata/cases against the table in its README.md.
func TestLogOfTheCases(t *testing.T) {
	table, err := os.ReadFile("testdata/cases/README.md")
	if err != nil {
		t.Fatal(err)
	}
	logs, rows := logsIn(t, "cases"), 0
	for line := range strings.Lines(string(table)) {
		cells := strings.Split(line, " | ")
		if len(cells) != 6 || !strings.Contains(cells[0], ".log`") {
			continue
		}
		items, reasons := strings.Split(cells[2], ", "), strings.Split(cells[4], ", ")
		for i, name := range regexp.MustCompile("`([^`]+)\\.log`").FindAllStringSubmatch(cells[0], -1) {
			rows++
			got, _ := parseLog(logs[name[1]])
			if items := items[min(i, len(items)-1)]; strconv.FormatInt(got.Items, 10) != items || got.Final != (cells[3] == "yes") ||
				got.FinishReason != strings.TrimSuffix(reasons[min(i, len(reasons)-1)], ", one attempt") {
				t.Errorf("%s: %s, want %s", name[1], describe(got), line)
			}
		}
	}
	if rows != len(logs) {
		t.Errorf("%d logs and %d rows", len(logs), rows)
	}
}
