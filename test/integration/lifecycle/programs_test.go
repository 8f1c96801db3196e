package lifecycle

import (
	"time"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/test/integration/lifecycle/node"
)

// brief is how long a process runs that has to be seen running and ends by itself.
const brief = 500 * time.Millisecond

// crawl is a Scrapy that scrapes items until a time is over or it gets a signal.
func crawl(items int, finished <-chan struct{}) node.Program {
	return func(p *node.Process) node.Exit {
		progress(p, items)
		select {
		case <-finished:
			dump(p, items, "finished")
		case <-p.Terminated():
			shutDown(p, items)
		case <-p.Killed():
		}
		return node.Exit{}
	}
}

// quickCrawl is a Scrapy that is seen running, and then finishes.
func quickCrawl(items int) node.Program {
	return func(p *node.Process) node.Exit { return crawl(items, closed(time.After(brief)))(p) }
}

// longCrawl is a Scrapy that continues until it gets a signal.
func longCrawl(items int) node.Program { return crawl(items, nil) }

// shutDown is what Scrapy does after a signal: it waits for its requests, and closes. Here it waits until somebody follows the
// log, as the requests of a real one take longer than that.
func shutDown(p *node.Process, items int) {
	p.Printf("%s [scrapy.crawler] INFO: Received SIGTERM, shutting down gracefully. Send again to force \n", stamp)
	p.Followed(5 * time.Second)
	dump(p, items, "shutdown")
}

const stamp = "2026-11-23 15:31:32"

func progress(p *node.Process, items int) {
	p.Printf("%s [scrapy.extensions.logstats] INFO: Crawled %d pages (at 60 pages/min), scraped %d items (at 60 items/min)\n",
		stamp, items, items)
}

// dump is what Scrapy logs when it closes.
func dump(p *node.Process, items int, reason string) {
	p.Printf("%s [scrapy.core.engine] INFO: Closing spider (%s)\n"+
		"%s [scrapy.statscollectors] INFO: Dumping Scrapy stats:\n"+
		"{'downloader/request_count': %d,\n 'elapsed_time_seconds': 1.5,\n 'finish_reason': '%s',\n"+
		" 'item_scraped_count': %d,\n 'log_count/INFO': 10,\n 'response_received_count': %d}\n"+
		"%s [scrapy.core.engine] INFO: Spider closed (%s)\n",
		stamp, reason, stamp, items, reason, items, items, stamp, reason)
}

// exits is a process that ends by itself after a moment.
func exits(exit node.Exit) node.Program {
	return func(p *node.Process) node.Exit {
		select {
		case <-time.After(brief):
			return exit
		case <-p.Terminated():
		case <-p.Killed():
		}
		return node.Exit{Code: 128 + 15}
	}
}

// dies is a process that continues until it gets a SIGTERM, and dies of it.
func dies(p *node.Process) node.Exit {
	select {
	case <-p.Terminated():
	case <-p.Killed():
	}
	return node.Exit{Code: 128 + 15}
}

// inTurn runs the first program in a SpiderJob's first attempt, and so on; the last one also in all further attempts.
func inTurn(programs ...node.Program) node.Program {
	return func(p *node.Process) node.Exit { return programs[min(p.Attempt, len(programs))-1](p) }
}

func closed(timer <-chan time.Time) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		<-timer
		close(done)
	}()
	return done
}

// ownCommand gives a Spider a command of its own: its counts are in the termination message only.
func ownCommand(spec *v1alpha1.SpiderSpec) { spec.Command = []string{"/count"} }
