package crash

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/test/e2e/harness"
)

// logging logs its progress and its end as Scrapy does, and ends at the second that its argument names.
const logging = `
import json, os, time
end = float(json.loads(os.environ["SPIDER_ARGUMENTS"])["end"])
n = 0
while time.time() < end:
    n += 1
    print("2026-11-23 12:00:00 [scrapy.extensions.logstats] INFO: "
          f"Crawled {n} pages (at 60 pages/min), scraped {n} items (at 60 items/min)")
    time.sleep(min(1, max(0, end - time.time())))
print("2026-11-23 12:00:00 [scrapy.statscollectors] INFO: Dumping Scrapy stats:")
print("{'finish_reason': 'finished', 'item_scraped_count': %d}" % n)
print("2026-11-23 12:00:00 [scrapy.core.engine] INFO: Spider closed (finished)")
`

// TestReadingLogsCostsOneReadPerEnd measures what reading logs costs on a real kubelet, with thirty spiders that end in the
// same second, next to thirty whose logs are not read.
func TestReadingLogsCostsOneReadPerEnd(t *testing.T) {
	const jobs, crawl = 30, 20 * time.Second
	n := cluster.Namespace(t)
	n.Python("read", logging, func(spec *v1alpha1.SpiderSpec) { spec.StatsSource = v1alpha1.StatsFromScrapy })
	n.Python("unread", logging, func(spec *v1alpha1.SpiderSpec) { spec.StatsSource = v1alpha1.StatsFromNowhere })
	controller := controllerProcess(t)
	for _, spider := range []string{"unread", "read"} {
		samples, finals := logReads(t, "sample"), logReads(t, "final")
		before := cpuOf(t, controller)
		latencies := endTogether(t, n, spider, jobs, crawl)
		used := cpuOf(t, controller) - before
		samples, finals = logReads(t, "sample")-samples, logReads(t, "final")-finals
		t.Logf("%d spiders (%s) of %s each: %d reads while they ran, %d at the end; the controller used %s of CPU; "+
			"Pod end → status: median %s, most %s", jobs, spider, crawl, samples, finals, used,
			latencies[len(latencies)/2].Round(time.Millisecond), latencies[len(latencies)-1].Round(time.Millisecond))
		if want := map[string]int{"read": jobs}[spider]; finals != want {
			t.Errorf("%d logs were read at the end of spiders whose log is %s, want %d", finals, spider, want)
		}
		// Each once per interval, and once more for what began or ended within one.
		if most := map[string]int{"read": jobs * (int(crawl/interval) + 1)}[spider]; samples > most {
			t.Errorf("%d logs were read while spiders ran whose log is %s, want at most %d", samples, spider, most)
		}
	}
}

// endTogether runs jobs that end in the same second, and returns, sorted, how long after each Pod's end its status recorded it.
func endTogether(t *testing.T, n *harness.Namespace, spider string, jobs int, crawl time.Duration) []time.Duration {
	t.Helper()
	end := time.Now().Add(crawl).Truncate(time.Second)
	prefix := fmt.Sprintf("%s-%d-", spider, end.Unix())
	seen := seeEnds(t, n, prefix)
	for i := range jobs {
		n.Start(prefix+strconv.Itoa(i), spider, map[string]string{"end": strconv.FormatInt(end.Unix(), 10)})
	}
	for i := range jobs {
		st := n.AwaitEnd(prefix+strconv.Itoa(i), crawl+soon).Status
		if st.Phase != v1alpha1.PhaseFinished || st.Reason != v1alpha1.ReasonCompleted {
			t.Errorf("SpiderJob %s%d ended %s, %s: %s", prefix, i, st.Phase, st.Reason, st.Message)
		}
	}
	return seen(jobs)
}

// seeEnds notes when Pods and their SpiderJobs ended, by one watch of each.
func seeEnds(t *testing.T, n *harness.Namespace, prefix string) func(jobs int) []time.Duration {
	t.Helper()
	var mu sync.Mutex
	podEnds, ends := map[string]time.Time{}, map[string]time.Time{}
	note := func(into map[string]time.Time, name string) {
		mu.Lock()
		defer mu.Unlock()
		if _, known := into[name]; !known && strings.HasPrefix(name, prefix) {
			into[name] = time.Now()
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	for _, list := range []client.ObjectList{&corev1.PodList{}, &v1alpha1.SpiderJobList{}} {
		w, err := n.Client.Watch(ctx, list, client.InNamespace(n.Name))
		if err != nil {
			t.Fatalf("watch namespace %s: %v", n.Name, err)
		}
		go func() {
			for event := range w.ResultChan() {
				switch object := event.Object.(type) {
				case *corev1.Pod:
					if object.Status.Phase == corev1.PodSucceeded {
						note(podEnds, object.Labels[v1alpha1.LabelSpiderJob])
					}
				case *v1alpha1.SpiderJob:
					if object.Status.Phase.Terminal() {
						note(ends, object.Name)
					}
				}
			}
		}()
	}
	return func(jobs int) []time.Duration {
		t.Helper()
		n.Eventually(t, soon, "both watches have seen all ends", func(context.Context) error {
			mu.Lock()
			defer mu.Unlock()
			if len(podEnds) < jobs || len(ends) < jobs {
				return fmt.Errorf("%w: %d Pods and %d SpiderJobs", errNotYet, len(podEnds), len(ends))
			}
			return nil
		})
		cancel()
		mu.Lock()
		defer mu.Unlock()
		late := make([]time.Duration, 0, jobs)
		for name, at := range ends {
			late = append(late, at.Sub(podEnds[name]))
		}
		slices.Sort(late)
		return late
	}
}

// logReads returns how many reads of spiders' logs the controller has made in a mode.
func logReads(t *testing.T, mode string) int {
	t.Helper()
	reads := 0
	for line := range strings.Lines(cluster.Metrics(t, "controller")) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if !strings.HasPrefix(name, "spider_operator_log_reads_total{") || !strings.Contains(name, `mode="`+mode+`"`) {
			continue
		}
		count, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Fatalf("read the metric %q: %v", line, err)
		}
		reads += int(count)
	}
	return reads
}

// cpuOf returns the CPU time that a process has used.
func cpuOf(t *testing.T, pid int) time.Duration {
	t.Helper()
	const tick = 10 * time.Millisecond // USER_HZ is 100 on every architecture that Kubernetes runs on, see proc(5)
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatalf("read the CPU time of process %d: %v", pid, err)
	}
	_, fields, _ := bytes.Cut(text, []byte(") ")) // after the name, which may contain anything
	words := strings.Fields(string(fields))
	used := time.Duration(0)
	for _, field := range words[11:13] { // utime and stime
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			t.Fatalf("read the CPU time of process %d: %v", pid, err)
		}
		used += time.Duration(ticks) * tick
	}
	return used
}
