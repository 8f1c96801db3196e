package e2e

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/test/e2e/harness"
)

// Images with projects as people make them; see test/spiders.
const (
	rootImage    = "spider-test-root:dev"
	startsImage  = "spider-test-starts:dev"
	browserImage = "spider-test-browser:dev"
)

// of makes a Spider of the spider with that name in the image.
func of(image, spider string) func(*v1alpha1.SpiderSpec) {
	return func(spec *v1alpha1.SpiderSpec) { spec.Image, spec.Name = image, spider }
}

// startedBy makes a Spider run a command that runs Scrapy.
func startedBy(command ...string) func(*v1alpha1.SpiderSpec) {
	return func(spec *v1alpha1.SpiderSpec) { spec.Command, spec.StatsSource = command, v1alpha1.StatsFromScrapy }
}

// with gives a Spider settings of Scrapy's.
func with(settings map[string]v1alpha1.SettingValue) func(*v1alpha1.SpiderSpec) {
	return func(spec *v1alpha1.SpiderSpec) { spec.Settings = settings }
}

// asRoot has a Spider run as root without any capability, which the restricted Pod Security Standard does not admit.
func asRoot(spec *v1alpha1.SpiderSpec) {
	spec.Pod.SecurityContext = &corev1.PodSecurityContext{RunAsUser: ptr.To[int64](0)}
}

// rendering has room for a browser, and disables the browser's own sandbox, which a Pod may not create: Debian's Chromium reads
// its flags from files.
func rendering(spec *v1alpha1.SpiderSpec) {
	spec.Pod.Resources.Limits[corev1.ResourceMemory] = resource.MustParse("1Gi")
	flags := &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "chromium"}}
	spec.Pod.Volumes = []corev1.Volume{{Name: "chromium", VolumeSource: corev1.VolumeSource{ConfigMap: flags}}}
	spec.Pod.VolumeMounts = []corev1.VolumeMount{{Name: "chromium", MountPath: "/etc/chromium.d"}}
}

// folder gives a Spider an empty folder of its own at a path of the image's.
func folder(path string) func(*v1alpha1.SpiderSpec) {
	return func(spec *v1alpha1.SpiderSpec) {
		empty := corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}
		spec.Pod.Volumes = []corev1.Volume{{Name: "folder", VolumeSource: empty}}
		spec.Pod.VolumeMounts = []corev1.VolumeMount{{Name: "folder", MountPath: path}}
	}
}

const feeds = `{"out/items.jsonl": {"format": "jsonlines"}}`

func TestProjectsOfUsualKindsRun(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	n.Run("", "label", "namespace", n.Name, "--overwrite", "pod-security.kubernetes.io/enforce=baseline")
	for name, tt := range map[string]project{
		"files of root's, run as the operator does": {
			spider: []change{of(rootImage, "priced")},
			reason: v1alpha1.ReasonExitCode, message: "Permission denied: '/root/shop",
		},
		"files of root's and a package in his user site, run as root": {
			spider: []change{of(rootImage, "priced"), asRoot, with(map[string]v1alpha1.SettingValue{"FEEDS": feeds})},
			reason: v1alpha1.ReasonCompleted, items: 12,
		},
		"a feed to a relative path, in a folder that is given": {
			spider: []change{of(startsImage, "shop"), with(map[string]v1alpha1.SettingValue{"FEEDS": feeds}), folder("/project/out")},
			reason: v1alpha1.ReasonCompleted, items: 12,
		},
		"a cache below the project's folder": {
			spider: []change{of(startsImage, "shop"), with(map[string]v1alpha1.SettingValue{"HTTPCACHE_ENABLED": "True"})},
			reason: v1alpha1.ReasonExitCode, message: "Permission denied: '/project/.scrapy'",
		},
		"a cache in a folder that is given": {
			spider: []change{of(startsImage, "shop"), with(map[string]v1alpha1.SettingValue{
				"HTTPCACHE_ENABLED": "True", "HTTPCACHE_IGNORE_SCHEMES": "", "HTTPCACHE_DIR": "/tmp/httpcache",
			})},
			reason: v1alpha1.ReasonCompleted, items: 12,
		},
		"a shell that stays": {
			spider: []change{of(startsImage, "shop"), startedBy("/project/run.sh")},
			reason: v1alpha1.ReasonCompleted, items: 12,
		},
		"a shell that makes way": {
			spider: []change{of(startsImage, "shop"), startedBy("/project/exec.sh")},
			reason: v1alpha1.ReasonCompleted, items: 12,
		},
		"tini": {
			spider: []change{of(startsImage, "shop"), startedBy("tini", "--", "scrapy", "crawl", "shop")},
			reason: v1alpha1.ReasonCompleted, items: 12,
		},
		"a script around CrawlerProcess, with two crawls": {
			spider: []change{of(startsImage, "shop"), startedBy("python3", "run.py")},
			reason: v1alpha1.ReasonCompleted, items: 19,
		},
		"a child that outlives the program and holds its output": {
			spider: []change{of(startsImage, "forking")},
			reason: v1alpha1.ReasonCompleted, items: 12,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.run(t, n.In(t), objectName(name))
		})
	}
}

// TestABrowserRendersPages runs with BROWSER=on: hack/e2e/run.sh then builds the image, which takes two minutes and a
// gigabyte.
func TestABrowserRendersPages(t *testing.T) {
	if os.Getenv("BROWSER") != "on" {
		t.Skip("BROWSER=on asks for it")
	}
	t.Parallel()
	n := cluster.Namespace(t)
	n.Create(&corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "chromium"},
		Data:       map[string]string{"flags": `export CHROMIUM_FLAGS="$CHROMIUM_FLAGS --no-sandbox"`},
	})
	wrapped := startedBy("xvfb-run", "-a", "scrapy", "crawl", "browsing", "-a", "pages=2")
	display := startedBy("sh", "-c", "Xvfb :99 & DISPLAY=:99 exec scrapy crawl browsing -a pages=2")
	for name, tt := range map[string]project{
		"without a display": {
			spider: []change{of(browserImage, "browsing"), rendering}, arguments: map[string]string{"pages": "2"},
			reason: v1alpha1.ReasonCompleted, items: 2,
		},
		"by xvfb-run": {
			spider: []change{of(browserImage, "browsing"), rendering, wrapped}, reason: v1alpha1.ReasonCompleted, items: 2,
		},
		"with a display beside it": {
			spider: []change{of(browserImage, "browsing"), rendering, display}, reason: v1alpha1.ReasonCompleted, items: 2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.run(t, n.In(t), objectName(name))
		})
	}
}

// change changes a Spider.
type change = func(*v1alpha1.SpiderSpec)

// project is a Spider of one of these images, and how a run of it ends.
type project struct {
	spider    []change
	arguments map[string]string
	reason    string
	message   string // a part of it
	items     int64  // if it is Completed
}

func (p project) run(t *testing.T, n *harness.Namespace, name string) {
	t.Helper()
	n.Scrapy(name, p.spider...)
	st := n.AwaitEnd(n.Start(name, name, p.arguments), crawl).Status
	if st.Reason != p.reason || !strings.Contains(st.Message, p.message) {
		t.Errorf("ended %s, %s: %s; want %s: …%s…", st.Phase, st.Reason, st.Message, p.reason, p.message)
	}
	if p.reason == v1alpha1.ReasonCompleted && (st.Stats.ItemsScraped != p.items || !st.Stats.Final) {
		t.Errorf("stats %+v, want %d items", st.Stats, p.items)
	}
}

// TestARunWhoseItemsCouldNotBeWrittenIsNotCompleted has feeds that cannot be written: Scrapy logs what is wrong with such a
// feed once, and continues. It exits with 0 and counts every item.
func TestARunWhoseItemsCouldNotBeWrittenIsNotCompleted(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	for name, feed := range map[string]string{
		"a relative path in a project of root's":    `{"items.jsonl": {"format": "jsonlines"}}`,
		"a folder of root's":                        `{"/srv/items.jsonl": {"format": "jsonlines"}}`,
		"an FTP server that does not answer":        `{"ftp://user:word@127.0.0.1:9/items.jsonl": {"format": "jsonlines"}}`,
		"one of two, the other of which is written": `{"/tmp/written.jsonl": {"format": "csv"}, "/srv/items.jsonl": {"format": "csv"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := n.In(t)
			name := objectName(name)
			n.Scrapy(name, of(startsImage, "shop"), with(map[string]v1alpha1.SettingValue{"FEEDS": v1alpha1.SettingValue(feed)}))
			st := n.AwaitEnd(n.Start(name, name, nil), crawl).Status
			if st.Phase != v1alpha1.PhaseError || st.Reason != v1alpha1.ReasonFeedFailed || !strings.Contains(st.Message, "items.jsonl") {
				t.Errorf("ended %s, %s: %s", st.Phase, st.Reason, st.Message)
			}
			if st.Stats == nil || st.Stats.ItemsScraped != 12 {
				t.Errorf("stats %+v", st.Stats)
			}
		})
	}
}

// TestASignalReachesScrapyThroughWhatStartsIt has Scrapy started in various ways: whether a cancelled spider can close, and
// report its counts, depends on what stands between it and the signal.
func TestASignalReachesScrapyThroughWhatStartsIt(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	endlessBy := func(command ...string) change {
		slow := []string{"-a", "pages=1000", "-s", "DOWNLOAD_DELAY=0.2", "-s", "LOGSTATS_INTERVAL=1", "-s", "LOG_LEVEL=INFO"}
		return startedBy(append(command, slow...)...)
	}
	for name, tt := range map[string]struct {
		spider    func(*v1alpha1.SpiderSpec)
		arguments map[string]string
		closes    bool
	}{
		"a shell that makes way": {spider: endlessBy("/project/exec.sh"), closes: true},
		"tini":                   {spider: endlessBy("tini", "--", "scrapy", "crawl", "shop"), closes: true},
		"a shell that stays":     {spider: endlessBy("/project/run.sh")},
		"a spider that ignores it": {arguments: map[string]string{"pages": "1000"}, spider: func(spec *v1alpha1.SpiderSpec) {
			spec.Name, spec.TerminationGracePeriodSeconds = "stubborn", ptr.To[int64](3)
			spec.Settings = map[string]v1alpha1.SettingValue{"DOWNLOAD_DELAY": "0.2", "LOGSTATS_INTERVAL": "1"}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := n.In(t)
			name := objectName(name)
			n.Scrapy(name, of(startsImage, "shop"), tt.spider)
			n.Start(name, name, tt.arguments)
			n.AwaitPhase(name, v1alpha1.PhaseRunning, soon)
			pod := n.AwaitPod(name, "runs", soon, func(pod *corev1.Pod) bool { return pod.Status.Phase == corev1.PodRunning })
			n.AwaitLog(pod.Name, regexp.MustCompile(`scraped [1-9]\d* items`), soon)
			n.Run("", "patch", "spiderjob", name, "--type=merge", "--patch", `{"spec": {"cancellation": {}}}`)

			st := n.AwaitEnd(name, soon).Status
			if st.Phase != v1alpha1.PhaseCancelled || st.Stats == nil || st.Stats.Final != tt.closes {
				t.Errorf("ended %s, %s: %s, with the counts %+v", st.Phase, st.Reason, st.Message, st.Stats)
			}
			n.Gone(name)
		})
	}
}

// TestSharedMemoryIsEnoughForABrowser checks that what a browser shares between its processes is limited by the spider's
// memory, not by the runtime's 64 MiB.
func TestSharedMemoryIsEnoughForABrowser(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	n.Python("shared", `
import json, os
size = os.statvfs("/dev/shm").f_blocks * os.statvfs("/dev/shm").f_frsize
with open("/dev/shm/page", "wb") as file:
    file.write(bytes(100 << 20))
open("/dev/termination-log", "w").write(json.dumps({"items_scraped": size >> 20, "finish_reason": "finished"}))
`)
	st := n.AwaitEnd(n.Start("shared", "shared", nil), soon).Status
	if st.Reason != v1alpha1.ReasonCompleted || st.Stats.ItemsScraped != 512 {
		t.Errorf("ended %s, %s: %s; /dev/shm has %d MiB, want the limit of 512", st.Phase, st.Reason, st.Message, st.Stats.ItemsScraped)
	}
}

func TestACrawlIsResumedFromItsJobDirectory(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	volume(t, n, "crawls")
	n.Scrapy("resumed", of(startsImage, "shop"), func(spec *v1alpha1.SpiderSpec) {
		spec.StatsAcrossAttempts = v1alpha1.CountSum
		spec.Settings = map[string]v1alpha1.SettingValue{"JOBDIR": "/crawls/shop", "DOWNLOAD_DELAY": "0.2", "LOGSTATS_INTERVAL": "1"}
		spec.Pod.Volumes = []corev1.Volume{{Name: "crawls", VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "crawls"},
		}}}
		spec.Pod.VolumeMounts = []corev1.VolumeMount{{Name: "crawls", MountPath: "/crawls"}}
	})
	n.Start("resumed", "resumed", map[string]string{"pages": "100"})
	pod := n.AwaitPod("resumed", "runs", soon, func(pod *corev1.Pod) bool { return pod.Status.Phase == corev1.PodRunning })
	n.AwaitLog(pod.Name, regexp.MustCompile(`scraped [1-9]\d* items`), soon)
	deletePod(t, n, pod)

	st := n.AwaitEnd("resumed", crawl).Status
	if st.Reason != v1alpha1.ReasonCompleted || st.Attempts != 2 {
		t.Errorf("ended %s, %s: %s, after %d attempts", st.Phase, st.Reason, st.Message, st.Attempts)
	}
	if st.Stats == nil || st.Stats.ItemsScraped != 100 || !st.Stats.Final {
		t.Errorf("stats %+v, want the 100 items of both attempts", st.Stats)
	}
}

// volume creates a claim to a folder of the node that everybody may write to, as a storage class would. It works in a cluster
// whose node is this machine.
func volume(t *testing.T, n *harness.Namespace, name string) {
	t.Helper()
	folder := filepath.Join(t.TempDir(), name)
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	// The spider runs as another user than the test.
	for path := folder; path != filepath.Clean(os.TempDir()); path = filepath.Dir(path) {
		if err := os.Chmod(path, 0o777|os.ModeSticky); err != nil {
			t.Fatal(err)
		}
	}
	size := corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	modes := []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	pv := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: n.Name + "-" + name},
		Spec: corev1.PersistentVolumeSpec{
			Capacity: size, AccessModes: modes, PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimRetain,
			PersistentVolumeSource: corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: folder}},
			ClaimRef:               &corev1.ObjectReference{Namespace: n.Name, Name: name},
		},
	}
	if err := n.Client.Create(t.Context(), pv); err != nil {
		t.Fatalf("create a volume: %v", err)
	}
	t.Cleanup(func() {
		if err := n.Client.Delete(context.Background(), pv); err != nil {
			t.Errorf("delete a volume: %v", err)
		}
	})
	n.Create(&corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: modes, VolumeName: pv.Name, StorageClassName: ptr.To(""),
			Resources: corev1.VolumeResourceRequirements{Requests: size},
		},
	})
}
