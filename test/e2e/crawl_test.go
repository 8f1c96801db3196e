package e2e

import (
	"regexp"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/test/e2e/harness"
)

func TestACrawlOfTheWholeShopCountsEveryBook(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	n.Scrapy("books")
	api := n.API("alice")

	id := api.Start("books", nil)
	api.Await(id, "is running", soon, func(job harness.Job) bool { return job.Status == "running" })
	job := api.Wait(id, crawl)

	if job.Status != "finished" || job.Reason != v1alpha1.ReasonCompleted || job.Stats == nil || !job.Stats.Final ||
		job.Stats.Source != "scrapy_stats" || job.Stats.FinishReason != "finished" {
		t.Errorf("the job ended as %+v, stats %+v", job, job.Stats)
	}
	if want := cluster.BooksInShop(t); job.Items() != want {
		t.Errorf("%d items were scraped of a shop of %d books", job.Items(), want)
	}
	if job.ExitCode == nil || *job.ExitCode != 0 || job.Attempts != 1 || job.Image != cluster.ScrapyImage {
		t.Errorf("exit code %v, attempts %d, image %s", job.ExitCode, job.Attempts, job.Image)
	}
	if job.StartedAt.IsZero() || job.FinishedAt.Before(job.StartedAt) || job.StartedAt.Before(job.CreatedAt) {
		t.Errorf("created %s, started %s, finished %s", job.CreatedAt, job.StartedAt, job.FinishedAt)
	}
}

func TestJobsEndAsTheirSpidersDo(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	n.Scrapy("category")
	n.Scrapy("broken")
	n.Counter("counter")
	for name, tt := range map[string]struct {
		spider    string
		arguments map[string]string
		phase     v1alpha1.Phase
		reason    string
		message   string // a part of it
		exitCode  int32
		items     int64
		source    v1alpha1.StatsOrigin
		final     bool
	}{
		"a category of the shop": {
			spider: "category", arguments: map[string]string{"category": "Travel"},
			phase: v1alpha1.PhaseFinished, reason: v1alpha1.ReasonCompleted, message: "finished",
			items: 30, source: v1alpha1.OriginScrapyStats, final: true,
		},
		"a category that is not named": {
			spider: "category",
			phase:  v1alpha1.PhaseError, reason: v1alpha1.ReasonExitCode, message: "the argument category is missing",
			exitCode: 1, source: v1alpha1.OriginNone,
		},
		"a spider whose constructor fails": {
			spider: "broken", arguments: map[string]string{"mode": "init"},
			phase: v1alpha1.PhaseError, reason: v1alpha1.ReasonExitCode, message: "this spider is broken",
			exitCode: 1, source: v1alpha1.OriginNone,
		},
		"callbacks that fail": {
			spider: "broken", arguments: map[string]string{"mode": "callback"},
			phase: v1alpha1.PhaseFinished, reason: v1alpha1.ReasonCompleted, message: "finished",
			source: v1alpha1.OriginScrapyStats, final: true,
		},
		"a spider that gives up after too many errors, and exits with 0": {
			spider: "broken", arguments: map[string]string{"mode": "errorcount"},
			phase: v1alpha1.PhaseError, reason: v1alpha1.ReasonSpiderFailed, message: "closespider_errorcount",
			source: v1alpha1.OriginScrapyStats, final: true,
		},
		"a spider in another language": {
			spider: "counter", arguments: map[string]string{"n": "42"},
			phase: v1alpha1.PhaseFinished, reason: v1alpha1.ReasonCompleted, message: "finished",
			items: 42, source: v1alpha1.OriginTerminationMessage, final: true,
		},
		"two seconds of counting": {
			spider: "counter", arguments: map[string]string{"n": "200", "delay": "10ms"},
			phase: v1alpha1.PhaseFinished, reason: v1alpha1.ReasonCompleted, message: "finished",
			items: 200, source: v1alpha1.OriginTerminationMessage, final: true,
		},
		"a spider in another language that fails": {
			spider: "counter", arguments: map[string]string{"n": "3", "fail": "the shop is closed"},
			phase: v1alpha1.PhaseError, reason: v1alpha1.ReasonExitCode, message: "the shop is closed",
			exitCode: 1, source: v1alpha1.OriginNone,
		},
		"counts of a process that exits with an error": {
			spider: "counter", arguments: map[string]string{"n": "7", "exit": "9"},
			phase: v1alpha1.PhaseError, reason: v1alpha1.ReasonExitCode, message: "code 9",
			exitCode: 9, items: 7, source: v1alpha1.OriginTerminationMessage, final: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := n.In(t)
			job := n.AwaitEnd(n.Start(objectName(name), tt.spider, tt.arguments), crawl)
			st := job.Status
			if st.Phase != tt.phase || st.Reason != tt.reason || !strings.Contains(st.Message, tt.message) {
				t.Errorf("ended %s, %s: %s; want %s, %s: …%s…", st.Phase, st.Reason, st.Message, tt.phase, tt.reason, tt.message)
			}
			if st.ExitCode == nil || *st.ExitCode != tt.exitCode {
				t.Errorf("exit code %v, want %d", ptr.Deref(st.ExitCode, -1), tt.exitCode)
			}
			if st.Stats == nil || st.Stats.ItemsScraped != tt.items || st.Stats.Source != tt.source || st.Stats.Final != tt.final {
				t.Errorf("stats are %+v, want %d items from %s, final %t", st.Stats, tt.items, tt.source, tt.final)
			}
			if st.Attempts != 1 {
				t.Errorf("%d attempts, want 1", st.Attempts)
			}
		})
	}
}

func TestAFailedRunIsRetriedAsOftenAsItsSpiderSays(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	n.Counter("counter", func(spec *v1alpha1.SpiderSpec) { spec.Retries = ptr.To[int32](1) })
	job := n.AwaitEnd(n.Start("fails", "counter", map[string]string{"n": "5", "exit": "3"}), crawl)
	if st := job.Status; st.Phase != v1alpha1.PhaseError || st.Reason != v1alpha1.ReasonExitCode || st.Attempts != 2 ||
		st.Stats.ItemsScraped != 5 || st.Stats.Attempt != 2 {
		t.Errorf("ended %s, %s after %d attempts, stats %+v", st.Phase, st.Reason, st.Attempts, st.Stats)
	}
	// The Pod of a failed attempt is deleted with its Job before the next one is created.
	if pods := n.Pods("fails"); len(pods) != 1 || pods[0].Name != job.Status.PodName {
		t.Errorf("%d Pods are left, want %s alone", len(pods), job.Status.PodName)
	}
}

// TestCountsAreShownWhileASpiderCrawls checks that the counts of a running job are shown, and grow: the controller reads them
// from the log every ten seconds.
func TestCountsAreShownWhileASpiderCrawls(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	n.Scrapy("slow")
	name := n.Start("live", "slow", nil)
	n.AwaitPhase(name, v1alpha1.PhaseRunning, soon)
	var last int64
	for range 2 {
		job := n.Await(name, "has scraped more", soon, func(job *v1alpha1.SpiderJob) bool {
			return job.Status.Stats != nil && job.Status.Stats.ItemsScraped > last
		})
		stats := job.Status.Stats
		if stats.Source != v1alpha1.OriginScrapyLog || stats.Final || job.Status.Phase != v1alpha1.PhaseRunning {
			t.Errorf("in phase %s the counts are %+v", job.Status.Phase, stats)
		}
		last = stats.ItemsScraped
	}
}

// objectName derives an object's name from a sentence.
func objectName(sentence string) string {
	name := strings.Trim(regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(sentence), "-"), "-")
	return strings.TrimRight(name[:min(len(name), 50)], "-")
}

var dumped = regexp.MustCompile(`'item_scraped_count': (\d+)`)

// dumpedItems is the number of items in the stats that Scrapy dumped into its log: 0 if they have none.
func dumpedItems(t *testing.T, log string) int64 {
	t.Helper()
	if !strings.Contains(log, "Dumping Scrapy stats") {
		t.Fatalf("Scrapy dumped no stats:\n%s", log)
	}
	match := dumped.FindStringSubmatch(log)
	if match == nil {
		return 0
	}
	count, err := strconv.ParseInt(match[1], 10, 64)
	if err != nil {
		t.Fatalf("read what Scrapy dumped: %v", err)
	}
	return count
}

// Lines of Scrapy's log.
var (
	pageCrawled = regexp.MustCompile(`DEBUG: Crawled \(200\)`)
	someItems   = regexp.MustCompile(`scraped [1-9]\d* items`)
)

// opened waits until a SpiderJob's Scrapy, which has to log at level DEBUG, logs that it has read a page, and returns the Pod.
// Only from then on is it sure to close gracefully on request: it opens its spider before it handles signals.
func opened(n *harness.Namespace, name string) *corev1.Pod {
	pod := started(n, name)
	n.AwaitLog(pod.Name, pageCrawled, soon)
	return pod
}

// crawling waits until a SpiderJob's Scrapy logs that it has scraped something, and returns the Pod.
func crawling(n *harness.Namespace, name string) *corev1.Pod {
	pod := started(n, name)
	n.AwaitLog(pod.Name, someItems, soon)
	return pod
}

func started(n *harness.Namespace, name string) *corev1.Pod {
	n.AwaitPhase(name, v1alpha1.PhaseRunning, soon)
	return n.AwaitPod(name, "runs", soon, func(pod *corev1.Pod) bool { return pod.Status.Phase == corev1.PodRunning })
}
