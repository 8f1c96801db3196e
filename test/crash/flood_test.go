package crash

import (
	"fmt"
	"regexp"
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/test/e2e/harness"
)

const (
	// interval is how often the operator reads the log of a running spider, by default and with this few of them.
	interval = 10 * time.Second
	// memoryGrowth bounds how much more memory the controller may take, whatever containers write: sixteen reads of 100 KiB each
	// at once, their buffers and as much garbage take far less.
	memoryGrowth = 48 << 20
	// longestMessage bounds the message in a SpiderJob's status.
	longestMessage = 1024
)

// unruly are programs that write what no program should, each for half a minute. In the end they report how many MiB they wrote.
var unruly = map[string]string{
	"flood":    `out((b"x" * 1023 + b"\n") * 1024)`,
	"binary":   `out(os.urandom(1 << 16)); time.sleep(0.02)`,
	"nul":      `out(bytes(1 << 16)); time.sleep(0.02)`,
	"halves":   `out(b"2026-11-23 12:00:00 [scrapy.extensions.logstats] INFO: Crawled 5 pa"); time.sleep(0.01)`,
	"one-line": `out(b"y" * 4096); time.sleep(0.01)`,
	"longest":  `out(b"z" * (10 << 20) + b"\n"); time.sleep(0.5)`,
	"forged": `out(b"2026-11-23 12:00:00 [scrapy.extensions.logstats] INFO: Crawled 9 pages (at 9 pages/min), scraped "
                + b"9" * 400 + b" items (at 9 items/min)\n"
                + b"2026-11-23 12:00:00 [scrapy.statscollectors] INFO: Dumping Scrapy stats:\n"
                + b"{'item_scraped_count': " + b"[" * 4096 + b"1,\n 'finish_reason': '" + b"\\x00" * 4096 + b"'}\n")
    time.sleep(0.01)`,
}

const unrulyFrame = `
import os, time
written = 0
def out(data):
    global written
    while data:
        n = os.write(1, data)
        written += n
        data = data[n:]
end = time.time() + 30
while time.time() < end:
    %s
open("/dev/termination-log", "w").write('{"items_scraped": %%d}' %% (written >> 20))
`

// garbled are termination messages of up to 4 KiB, as expressions of Python.
var garbled = map[string]string{
	"bytes":    `os.urandom(4096)`,
	"nuls":     `bytes(4096)`,
	"deep":     `b"[" * 4096`,
	"cut":      `b'{"items_scraped": 7, "error": "' + b"x" * 8192`,
	"negative": `b'{"items_scraped": -7}'`,
	"endless":  `b'{"items_scraped": ' + b"9" * 4000 + b'}'`,
	"text":     `b'{"items_scraped": "7", "finish_reason": ["\\ud800"]}'`,
}

const garbledFrame = `
import os
os.write(os.open("/dev/termination-log", os.O_WRONLY | os.O_CREAT), %s)
`

// TestAContainersOutputHarmsOnlyItsOwnCounts has containers write what is not to be trusted. It may spoil their own counts,
// and nothing more.
func TestAContainersOutputHarmsOnlyItsOwnCounts(t *testing.T) {
	n := cluster.Namespace(t)
	n.Scrapy("slow", scrapySettings)
	controller := controllerProcess(t)
	seen := watchPods(t, n)
	honest := fleet{}
	for i := range 3 {
		honest.start(n, t, fmt.Sprintf("honest-%d", i),
			crawling("slow", nil, map[string]v1alpha1.SettingValue{"CLOSESPIDER_ITEMCOUNT": v1alpha1.SettingValue(fmt.Sprint(40 + i))}),
			-1)
	}
	for name := range honest {
		n.Await(name, "has scraped something", soon, func(job *v1alpha1.SpiderJob) bool {
			return job.Status.Stats != nil && job.Status.Stats.ItemsScraped > 0
		})
	}
	if err := forgetPeak(controller); err != nil {
		t.Fatalf("measure memory: %v", err)
	}
	before, err := memoryOf(controller)
	if err != nil {
		t.Fatal(err)
	}

	logs := func(spec *v1alpha1.SpiderSpec) { spec.StatsSource = v1alpha1.StatsFromScrapy }
	for name, body := range unruly {
		n.Python(name, fmt.Sprintf(unrulyFrame, body), logs)
		n.Start(name, name, nil)
	}
	for name, message := range garbled {
		n.Python(name, fmt.Sprintf(garbledFrame, message))
		n.Start(name, name, nil)
	}
	watchCounts(t, n, honest, unruly)
	for name := range garbled {
		st := n.AwaitEnd(name, soon).Status
		if st.Phase != v1alpha1.PhaseFinished || st.Attempts != 1 || len(st.Message) > longestMessage {
			t.Errorf("the job with the message %s ended %s, %s: %q after %d attempts", name, st.Phase, st.Reason, st.Message, st.Attempts)
		}
		if st.Stats != nil && (st.Stats.ItemsScraped < 0 || st.Stats.Final) {
			t.Errorf("the job with the message %s counts %+v", name, st.Stats)
		}
	}
	for name := range unruly {
		st := n.AwaitEnd(name, soon).Status
		if st.Phase != v1alpha1.PhaseFinished || st.Attempts != 1 {
			t.Errorf("%s ended %s, %s: %s", name, st.Phase, st.Reason, st.Message)
		}
		t.Logf("%s wrote %d MiB", name, st.Stats.ItemsScraped)
	}
	after, err := memoryOf(controller)
	if err != nil {
		t.Fatalf("the controller has not survived: %v", err)
	}
	t.Logf("the controller held %d MiB before, and at most %d MiB meanwhile", before.now>>20, after.peak>>20)
	if after.peak-before.now > memoryGrowth {
		t.Errorf("the controller held %d MiB, and at most %d MiB while containers wrote", before.now>>20, after.peak>>20)
	}
	for name := range honest {
		seen.ranOnce(t, name, -1)
	}
}

// watchCounts compares the counts shown of honest jobs with what their spiders have logged, until all the others have ended.
func watchCounts(t *testing.T, n *harness.Namespace, honest fleet, others map[string]string) {
	t.Helper()
	type look struct {
		at    time.Time
		items int64
	}
	const (
		slack  = 2 * time.Second // the log's own two seconds between two lines
		enough = 30
	)
	looks := map[string][]look{}
	deadline, tick := time.Now().Add(soon), time.NewTicker(time.Second)
	defer tick.Stop()
	compared := 0
	for running := true; running && time.Now().Before(deadline); <-tick.C {
		for name := range honest {
			job := n.Await(name, "is there", soon, func(*v1alpha1.SpiderJob) bool { return true })
			if job.Status.Phase.Terminal() {
				continue
			}
			shown, due := job.Status.Stats.ItemsScraped, int64(0)
			for _, l := range looks[name] {
				if time.Since(l.at) > 2*interval+slack {
					due = l.items
				}
			}
			if due > 0 {
				compared++
			}
			if shown < due {
				t.Errorf("SpiderJob %s shows %d items; %d were logged %s ago", name, shown, due, 2*interval+slack)
			}
			if items, ok := logged(t, n, job.Status.PodName); ok {
				looks[name] = append(looks[name], look{time.Now(), items})
			}
		}
		running = false
		for name := range others {
			job := n.Await(name, "is there", soon, func(*v1alpha1.SpiderJob) bool { return true })
			running = running || !job.Status.Phase.Terminal()
		}
	}
	if compared < enough {
		t.Errorf("the honest jobs have logged too little to compare with: %d looks, want %d", compared, enough)
	}
}

var progress = regexp.MustCompile(`scraped (\d+) items`)

// logged returns the number of items that a Pod's Scrapy last logged. A log that cannot be read at the moment has none.
func logged(t *testing.T, n *harness.Namespace, pod string) (items int64, ok bool) {
	t.Helper()
	log, err := n.Clientset.CoreV1().Pods(n.Name).GetLogs(pod,
		&corev1.PodLogOptions{Container: v1alpha1.ContainerName}).DoRaw(t.Context())
	if err != nil {
		t.Logf("read the log of Pod %s: %v", pod, err)
		return 0, false
	}
	lines := progress.FindAllStringSubmatch(string(log), -1)
	if len(lines) == 0 {
		return 0, false
	}
	items, err = strconv.ParseInt(lines[len(lines)-1][1], 10, 64)
	return items, err == nil
}
