package stats

import (
	"bytes"
	"fmt"
	"testing"
)

// usualLog is the end of the log of a crawl at level DEBUG, of so many bytes: three lines for every page, a line of progress now
// and then, and the dump.
func usualLog(size int) []byte {
	var log bytes.Buffer
	for n := 0; log.Len() < size; n++ {
		fmt.Fprintf(
			&log,
			"2026-11-23 12:30:22 [scrapy.core.engine] DEBUG: Crawled (200) <GET https://shop.example/page/%d> (referer: None)\n",
			n,
		)
		fmt.Fprintf(&log, "2026-11-23 12:30:22 [scrapy.core.scraper] DEBUG: Scraped from <200 https://shop.example/page/%d>\n", n)
		fmt.Fprintf(&log, "{'title': 'Book %d', 'price': 12.5, 'url': 'https://shop.example/page/%d'}\n", n, n)
		if n%500 == 499 {
			log.WriteString(crawled7)
		}
	}
	log.WriteString(header + dump5)
	return log.Bytes()[log.Len()-size:]
}

// BenchmarkUsualLog measures what a sample of a running spider, or a final read, has to parse.
func BenchmarkUsualLog(b *testing.B) {
	for _, size := range []int{64 << 10, 1 << 20} {
		log := usualLog(size)
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) { read(b, log) })
	}
}

// BenchmarkLog measures logs that are full of dumps. The parser before this one, which looked at the last 64 KiB only, is
// ParseLog at commit 94600af: its figures, on the same input, are in docs/run.md.
func BenchmarkLog(b *testing.B) {
	for _, name := range []string{"finished-debug", "finished"} {
		for _, size := range []int{64 << 10, 1 << 20} {
			log := realLogs(b)[name]
			log = append(bytes.Repeat(log, size/len(log)), log...)
			log = log[len(log)-size:]
			b.Run(fmt.Sprintf("%s/%dKiB", name, size>>10), func(b *testing.B) { read(b, log) })
		}
	}
}

func read(b *testing.B, log []byte) {
	var l Log
	b.SetBytes(int64(len(log)))
	b.ReportAllocs()
	for b.Loop() {
		l.Reset()
		for rest := log; len(rest) > 0; {
			n := min(32<<10, len(rest))
			_, _ = l.Write(rest[:n])
			rest = rest[n:]
		}
		l.End()
		l.Counts()
	}
}
