package podlog

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

const feedFails = "2026-11-23 12:30:22 [scrapy.utils.signal] ERROR: Error caught on signal handler: <bound method FeedExporter.open_spider of " +
	"<scrapy.extensions.feedexport.FeedExporter object at 0x7f>>\nTraceback (most recent call last):\n  File \"x.py\", line 7, in open\n" +
	"PermissionError: [Errno 13] Permission denied: 'out'\n"

// longDump is what a spider with so many statistics more than usual logs when it closes.
func longDump(items, statistics, errors int) string {
	var dump strings.Builder
	fmt.Fprintf(
		&dump,
		"2026-11-23 12:30:32 [scrapy.statscollectors] INFO: Dumping Scrapy stats:\n{'finish_reason': 'finished',\n 'item_scraped_count': %d,\n",
		items,
	)
	fmt.Fprintf(&dump, " 'log_count/ERROR': %d,\n", errors)
	for i := range statistics {
		fmt.Fprintf(&dump, " 'shop/%d': %d,\n", i, i)
	}
	dump.WriteString(" 'start_time': datetime.datetime(2026, 11, 23, 12, 30, 22, 335622)}\n" +
		"2026-11-23 12:30:32 [scrapy.core.engine] INFO: Spider closed (finished)\n")
	return dump.String()
}

func TestFinalReadsLongDumps(t *testing.T) {
	noise := strings.Repeat("Traceback of a browser, which throws behind the dump\n", 10000)
	for name, log := range map[string]string{
		"a dump of 1,000 lines":               longDump(7, 1000, 0),
		"a dump of 10,000 lines":              longDump(7, 10000, 0),
		"a dump of 1,000 lines and 500 KB":    longDump(7, 1000, 0) + noise,
		"a dump of 10,000 lines and 500 KB":   longDump(7, 10000, 0) + noise,
		"a dump behind 3 MB":                  strings.Repeat(noise, 6) + longDump(7, 1000, 0),
		"a dump behind long lines and before": strings.Repeat(strings.Repeat("x", 3000)+"\n", 1500) + longDump(7, 1500, 0) + noise,
	} {
		for _, mode := range []Mode{Follow, Final} {
			if mode == Follow && len(log) > 4<<20 {
				continue // more at once than a stream may bring
			}
			t.Run(name+", "+mode.String(), func(t *testing.T) {
				onBench(t, Options{}, func(b *bench) {
					container := b.kubelet.run("a")
					if mode == Follow {
						b.collector.Want(target("a"), mode)
						b.after(time.Second, "a")
					}
					container.write("%s", log)
					container.terminate()
					b.collector.Want(target("a"), mode)
					b.assertItems(b.after(5*time.Second, "a"), 7, true)
				})
			})
		}
	}
}

// TestFinalReadsNoMoreThanItNeeds checks that a final read is bounded, and short if the last lines have the end.
func TestFinalReadsNoMoreThanItNeeds(t *testing.T) {
	noise := strings.Repeat("nothing\n", 2000)
	for name, test := range map[string]struct {
		log   string
		opens int
	}{
		"an end that the last lines tell": {noise + longDump(7, 10, 0), 1},
		"a short log without an end":      {"nothing\n", 1},
		"a long log without an end":       {noise, 2},
		"errors in a long log":            {noise + longDump(7, 10, 1), 2},
		"errors in a short log":           {"2026 [x] INFO: Scrapy 2.8.0 started (bot: shop)\n" + longDump(7, 10, 1), 1},
		"several crawls in a long log":    {noise + longDump(7, 10, 0) + longDump(9, 10, 0), 2},
		"too many bytes without an end":   {strings.Repeat(strings.Repeat("x", 1300)+"\n", 40000), 3},
	} {
		t.Run(name, func(t *testing.T) {
			onBench(t, Options{}, func(b *bench) {
				container := b.kubelet.run("a")
				container.write("%s", test.log)
				container.terminate()
				b.collector.Want(target("a"), Final)
				if r := b.after(5*time.Second, "a"); !r.Done || r.Err != nil {
					b.Errorf("reading %+v", r)
				}
				if got := len(b.kubelet.opensOf("a")); got != test.opens {
					b.Errorf("the log was opened %d times, want %d", got, test.opens)
				}
			})
		})
	}
}

// TestFinalReadsTheHeadForAFeedThatFailed has a log of Scrapy 2.8, which says only in its head that a feed could not be
// opened.
func TestFinalReadsTheHeadForAFeedThatFailed(t *testing.T) {
	onBench(t, Options{}, func(b *bench) {
		container := b.kubelet.run("a")
		container.write("%s", feedFails+strings.Repeat("nothing\n", 200000)+longDump(7, 10, 1))
		container.terminate()
		b.collector.Want(target("a"), Final)
		r := b.after(5*time.Second, "a")
		b.assertItems(r, 7, true)
		if want := "PermissionError: [Errno 13] Permission denied: 'out'"; r.Counts.FeedError != want {
			b.Errorf("feed error %q, want %q", r.Counts.FeedError, want)
		}
		head := b.kubelet.opensOf("a")[1].options
		if head.LimitBytes == nil || *head.LimitBytes != 256<<10 || head.TailLines != nil {
			b.Errorf("opened with %+v", head)
		}
	})
}

func TestSampleRemembersAFeedThatFailed(t *testing.T) {
	onBench(t, Options{}, func(b *bench) {
		container := b.kubelet.run("a")
		container.write("%s", feedFails)
		b.collector.Want(target("a"), Sample)
		b.after(10*time.Second, "a")
		container.write("%s%s", strings.Repeat("nothing\n", 2000), progress5)
		r := b.after(10*time.Second, "a")
		if b.assertItems(r, 5, false); r.Counts.FeedError == "" {
			b.Errorf("the feed's error is forgotten: %+v", r)
		}
	})
}

func TestReadingSaysWhetherItIsWhole(t *testing.T) {
	const start = "2026-11-23 12:30:22 [scrapy.utils.log] INFO: Scrapy 2.8.0 started (bot: shop)\n"
	for name, test := range map[string]struct {
		log  string
		want bool
	}{
		"from the first line":      {start + longDump(7, 10, 0), true},
		"more lines than are read": {start + strings.Repeat("nothing\n", 2000) + longDump(7, 10, 0), false},
		"after a rotation":         {progress5 + longDump(7, 10, 0), false},
	} {
		t.Run(name, func(t *testing.T) {
			onBench(t, Options{}, func(b *bench) {
				container := b.kubelet.run("a")
				container.write("%s", test.log)
				container.terminate()
				b.collector.Want(target("a"), Final)
				if r := b.after(5*time.Second, "a"); r.Whole != test.want {
					b.Errorf("whole %v, want %v", r.Whole, test.want)
				}
			})
		})
	}
}

var progress5 = fmt.Sprintf(progressLine, 5)

// TestSampleOfAQuietLogSaysThatTheSpiderHasClosed has a process that lives on after its spider has closed: its log is quiet,
// and says how the spider ended.
func TestSampleOfAQuietLogSaysThatTheSpiderHasClosed(t *testing.T) {
	onBench(t, Options{}, func(b *bench) {
		container := b.kubelet.run("a")
		begun := time.Now()
		container.write("%s", longDump(7, 10, 0))
		b.collector.Want(target("a"), Sample)
		b.assertItems(b.after(10*time.Second, "a"), 7, false)
		r := b.after(10*time.Second, "a")
		b.assertItems(r, 7, true)
		if r.Counts.FinishReason != "finished" || !r.Counts.Closed || r.Quiet.Sub(begun) != 5*time.Second ||
			r.Read.Sub(begun) != 15*time.Second {
			b.Errorf("reading %+v", r)
		}
		container.write("another line\n")
		container.write(progressLine, 2)
		r = b.after(10*time.Second, "a")
		b.assertItems(r, 9, false)
		if r.Counts.Closed || r.Counts.FinishReason != "" || !r.Quiet.Equal(r.Read) {
			b.Errorf("when another crawl has begun: %+v", r)
		}
		container.write("%s", strings.Replace(longDump(2, 10, 0), "335622", "335623", 1))
		container.terminate()
		b.collector.Want(target("a"), Final)
		b.assertItems(b.after(time.Second, "a"), 9, true)
	})
}
