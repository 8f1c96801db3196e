package e2e

import (
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/test/e2e/harness"
)

// Programs of spiders that end in special ways.
const (
	// hungry takes all the memory it can get.
	hungry = `
held = bytearray()
while True:
    held.extend(b"x" * (8 << 20))
`
	// spared lets a child process take all the memory, and ignores the child's end.
	spared = `import subprocess; subprocess.run(["python3", "-c", "x = bytearray(10**9)"])`
	// crashes reads from address 0: the kernel ends it with a signal.
	crashes = `import ctypes; ctypes.string_at(0)`
	// complains reports that it failed, and exits as if it had not.
	complains = `open("/dev/termination-log", "w").write('{"error": "the shop has no door"}')`
	// mute logs nothing that could be counted.
	mute = `print("hello")`
	// forger logs what Scrapy logs when it closes, and then more.
	forger = `
print("2026-11-23 12:00:00 [scrapy.statscollectors] INFO: Dumping Scrapy stats:")
print("{'item_scraped_count': 5, 'finish_reason': 'finished'")
print("'item_scraped_count': -3, 'finish_reason': 'finished'}")
open("/dev/termination-log", "w").write("{" * 4096)
`
	// flood writes a hundred megabytes, of lines that are not text and of one line that does not end, before it closes as
	// Scrapy does.
	flood = `
import os, sys
noise = os.urandom(1 << 20)
for _ in range(90):
    sys.stdout.buffer.write(noise)
sys.stdout.buffer.write(b"x" * (10 << 20))
print()
print("2026-11-23 12:00:00 [scrapy.statscollectors] INFO: Dumping Scrapy stats:")
print("{'item_scraped_count': 7,\n 'finish_reason': 'finished'}")
print("2026-11-23 12:00:00 [scrapy.core.engine] INFO: Spider closed (finished)", flush=True)
`
)

func TestEveryEndHasItsReason(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	scrapyStats := func(spec *v1alpha1.SpiderSpec) { spec.StatsSource = v1alpha1.StatsFromScrapy }
	for name, tt := range map[string]struct {
		spider func(name string, change ...func(*v1alpha1.SpiderSpec)) *v1alpha1.Spider
		// program is what a Python spider runs.
		program   string
		change    func(*v1alpha1.SpiderSpec)
		arguments map[string]string
		job       func(*v1alpha1.SpiderJobSpec)
		phase     v1alpha1.Phase
		reason    string
		message   []string
		// items is -1 if their number does not matter.
		items int64
	}{
		"out of memory": {
			program: hungry,
			change: func(spec *v1alpha1.SpiderSpec) {
				spec.Pod.Resources.Limits[corev1.ResourceMemory] = resource.MustParse("48Mi")
			},
			phase: v1alpha1.PhaseError, reason: v1alpha1.ReasonOutOfMemory, message: []string{"48Mi"},
		},
		"out of memory in a child alone": {
			program: spared,
			change: func(spec *v1alpha1.SpiderSpec) {
				spec.Pod.Resources.Limits[corev1.ResourceMemory] = resource.MustParse("64Mi")
			},
			phase: v1alpha1.PhaseError, reason: v1alpha1.ReasonOutOfMemory, message: []string{"64Mi"},
		},
		"a signal of the kernel": {
			program: crashes,
			phase:   v1alpha1.PhaseError, reason: v1alpha1.ReasonKilled, message: []string{"signal 11", "segmentation"},
		},
		"a failure that the spider tells of": {
			program: complains,
			phase:   v1alpha1.PhaseError, reason: v1alpha1.ReasonSpiderFailed, message: []string{"the shop has no door"},
		},
		"no counts at all": {
			program: mute,
			phase:   v1alpha1.PhaseFinished, reason: v1alpha1.ReasonCompletedUnverified, message: []string{"could not be read"},
		},
		"no counts wanted": {
			program: mute, change: func(spec *v1alpha1.SpiderSpec) { spec.StatsSource = v1alpha1.StatsFromNowhere },
			phase: v1alpha1.PhaseFinished, reason: v1alpha1.ReasonCompleted,
		},
		"forged counts": {
			program: forger, change: scrapyStats,
			phase: v1alpha1.PhaseFinished, reason: v1alpha1.ReasonCompletedUnverified,
		},
		"a flood of noise before the counts": {
			program: flood, change: scrapyStats,
			phase: v1alpha1.PhaseFinished, reason: v1alpha1.ReasonCompleted, items: 7,
		},
		"a finish reason that its Spider calls an error": {
			spider: n.Counter, change: func(spec *v1alpha1.SpiderSpec) { spec.ErrorFinishReasons = []string{"finished"} },
			arguments: map[string]string{"n": "4"},
			phase:     v1alpha1.PhaseError, reason: v1alpha1.ReasonSpiderFailed, message: []string{"finished"}, items: 4,
		},
		"a program that does not exist": {
			spider: n.Counter, change: func(spec *v1alpha1.SpiderSpec) { spec.Command = []string{"/no/such/program"} },
			phase: v1alpha1.PhaseError, reason: v1alpha1.ReasonConfiguration, message: []string{"/no/such/program"},
		},
		"more time than it was given": {
			spider: n.Counter, arguments: map[string]string{"n": "100000", "delay": "20ms"},
			job:   func(spec *v1alpha1.SpiderJobSpec) { spec.TimeoutSeconds = ptr.To[int64](15) },
			phase: v1alpha1.PhaseError, reason: v1alpha1.ReasonDeadlineExceeded, message: []string{"15s"}, items: -1,
		},
		"a setting that is not allowed": {
			spider: n.Counter,
			job: func(spec *v1alpha1.SpiderJobSpec) {
				spec.Settings = map[string]v1alpha1.SettingValue{"FEEDS": "{}"}
			},
			phase: v1alpha1.PhaseError, reason: v1alpha1.ReasonInvalidJob, message: []string{"FEEDS", "allowedSettings"},
		},
		"more retries than its Spider allows": {
			spider: n.Counter, job: func(spec *v1alpha1.SpiderJobSpec) { spec.Retries = ptr.To[int32](1) },
			phase: v1alpha1.PhaseError, reason: v1alpha1.ReasonInvalidJob, message: []string{"retries 1"},
		},
		"more time than its Spider allows": {
			spider: n.Counter, change: func(spec *v1alpha1.SpiderSpec) { spec.TimeoutSeconds = ptr.To[int64](60) },
			job:   func(spec *v1alpha1.SpiderJobSpec) { spec.TimeoutSeconds = ptr.To[int64](61) },
			phase: v1alpha1.PhaseError, reason: v1alpha1.ReasonInvalidJob, message: []string{"timeoutSeconds 61"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := n.In(t)
			name := objectName(name)
			change := func(spec *v1alpha1.SpiderSpec) {
				if tt.change != nil {
					tt.change(spec)
				}
			}
			if tt.spider != nil {
				tt.spider(name, change)
			} else {
				n.Python(name, tt.program, change)
			}
			if tt.job == nil {
				tt.job = func(*v1alpha1.SpiderJobSpec) {}
			}
			st := n.AwaitEnd(n.Start(name, name, tt.arguments, tt.job), 2*soon).Status
			if st.Phase != tt.phase || st.Reason != tt.reason {
				t.Fatalf("ended %s, %s: %s; want %s, %s", st.Phase, st.Reason, st.Message, tt.phase, tt.reason)
			}
			for _, part := range tt.message {
				if !strings.Contains(st.Message, part) {
					t.Errorf("the message %q does not contain %q", st.Message, part)
				}
			}
			if st.Stats == nil || tt.items >= 0 && st.Stats.ItemsScraped != tt.items {
				t.Errorf("stats are %+v, want %d items", st.Stats, tt.items)
			}
			if tt.items < 0 && (st.Stats.ItemsScraped == 0 || !st.Stats.Final) {
				t.Errorf("the counts of what was done are lost: %+v", st.Stats)
			}
		})
	}
}

func TestAnImageThatCannotBePulledIsAnErrorOnlyWhenPatienceIsOver(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	for name, tt := range map[string]struct {
		image  string
		pull   corev1.PullPolicy
		reason string
	}{
		"never pulled":                 {"spider-demo-missing:dev", corev1.PullNever, v1alpha1.ReasonImagePull},
		"a registry that is not there": {"127.0.0.1:1/spider:dev", corev1.PullIfNotPresent, v1alpha1.ReasonImagePull},
		"no name of an image":          {"Not-An-Image:dev", corev1.PullIfNotPresent, v1alpha1.ReasonInvalidImage},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := n.In(t)
			name := objectName(name)
			n.Counter(name, func(spec *v1alpha1.SpiderSpec) { spec.Image, spec.ImagePullPolicy = tt.image, tt.pull })
			n.Start(name, name, nil)
			job := n.AwaitReason(name, tt.reason, soon)
			if job.Status.Phase != v1alpha1.PhasePending || !strings.Contains(job.Status.Message, tt.image) {
				t.Errorf("with patience left the job is %s: %s", job.Status.Phase, job.Status.Message)
			}
			job = n.AwaitEnd(name, soon)
			if st := job.Status; st.Phase != v1alpha1.PhaseError || st.Reason != tt.reason || st.StartedAt != nil {
				t.Errorf("ended %s, %s: %s, started %v", st.Phase, st.Reason, st.Message, st.StartedAt)
			}
			n.Gone(name)
		})
	}
}

func TestAJobOutlivesItsSpider(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	spider := n.Counter("counter")
	name := n.Start("orphan", "counter", map[string]string{"n": "300", "delay": "100ms"})
	n.AwaitPhase(name, v1alpha1.PhaseRunning, soon)
	if err := n.Client.Delete(t.Context(), spider); err != nil {
		t.Fatalf("delete the Spider: %v", err)
	}
	job := n.AwaitPhase(name, v1alpha1.PhaseFinished, soon)
	if job.Status.Stats.ItemsScraped != 300 || job.Status.Spider.Name != "counter" {
		t.Errorf("stats %+v, spider %+v", job.Status.Stats, job.Status.Spider)
	}
}

func TestAJobWithoutASpiderIsAnErrorUnlessTheSpiderComesAtOnce(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	n.Start("lonely", "nobody", nil)
	n.Start("early", "counter", map[string]string{"n": "3"})
	n.Counter("counter")
	if job := n.AwaitEnd("early", soon); job.Status.Phase != v1alpha1.PhaseFinished || job.Status.Stats.ItemsScraped != 3 {
		t.Errorf("a job created before its Spider ended %s, %s: %s", job.Status.Phase, job.Status.Reason, job.Status.Message)
	}
	st := n.AwaitEnd("lonely", soon).Status
	if st.Phase != v1alpha1.PhaseError || st.Reason != v1alpha1.ReasonSpiderNotFound || !strings.Contains(st.Message, "nobody") {
		t.Errorf("a job without a Spider ended %s, %s: %s", st.Phase, st.Reason, st.Message)
	}
}

func TestLogAndJobAreRemovedWhenTheirTimeIsOver(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	n.Counter("counter", func(spec *v1alpha1.SpiderSpec) { spec.PodRetentionSeconds = ptr.To[int64](3) })
	api := n.API("")
	name := n.Start("short-lived", "counter", nil, func(spec *v1alpha1.SpiderJobSpec) {
		spec.TTLSecondsAfterFinished = ptr.To[int64](8)
	})
	job := n.AwaitPhase(name, v1alpha1.PhaseFinished, soon)
	ended := job.Status.FinishedAt.Time
	api.Await(job.ID(), "is finished", atOnce, func(job harness.Job) bool { return job.Status == "finished" })
	n.AwaitGone(&corev1.Pod{}, job.Status.PodName, soon)
	if kept := time.Since(ended); kept < 2*time.Second {
		t.Errorf("the Pod was kept for %s", kept)
	}
	n.AwaitGone(&batchv1.Job{}, name, soon)
	n.AwaitGone(&v1alpha1.SpiderJob{}, name, soon)
	if kept := time.Since(ended); kept < 7*time.Second {
		t.Errorf("the SpiderJob was kept for %s", kept)
	}
	api.AwaitGone(job.ID(), atOnce)
}
