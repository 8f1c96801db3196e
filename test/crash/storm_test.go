package crash

import (
	"context"
	"fmt"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/test/e2e/harness"
)

// scrapySettings makes Scrapy log its progress every other second, and optionally sets when to close.
func scrapySettings(spec *v1alpha1.SpiderSpec) {
	spec.Settings = map[string]v1alpha1.SettingValue{"LOGSTATS_INTERVAL": "2"}
	spec.AllowedSettings = []string{"CLOSESPIDER_ITEMCOUNT", "DOWNLOAD_DELAY"}
}

// fleet are the jobs of a storm: the counts that they have to end with, by name; negative if only Scrapy knows.
type fleet map[string]int64

// start starts a job as soon as Kubernetes accepts it. A request that failed may nevertheless have been executed.
func (f fleet) start(n *harness.Namespace, t *testing.T, name string, job v1alpha1.SpiderJobSpec, items int64) {
	t.Helper()
	f[name] = items
	n.Eventually(t, soon, "SpiderJob "+name+" is taken", func(ctx context.Context) error {
		err := n.Client.Create(ctx, &v1alpha1.SpiderJob{ObjectMeta: metav1.ObjectMeta{Namespace: n.Name, Name: name}, Spec: job})
		if apierrors.IsAlreadyExists(err) {
			return nil
		}
		return err
	})
}

// counting is a job of the counter, with ten items a second.
func counting(items int64) v1alpha1.SpiderJobSpec {
	return v1alpha1.SpiderJobSpec{
		SpiderRef: v1alpha1.SpiderReference{Name: "counter"},
		Arguments: map[string]v1alpha1.ArgumentValue{"n": v1alpha1.ArgumentValue(fmt.Sprint(items)), "delay": "100ms"},
	}
}

// crawling is a job of Scrapy, with settings that make it take its time.
func crawling(spider string, arguments map[string]v1alpha1.ArgumentValue,
	settings map[string]v1alpha1.SettingValue) v1alpha1.SpiderJobSpec {
	return v1alpha1.SpiderJobSpec{SpiderRef: v1alpha1.SpiderReference{Name: spider}, Arguments: arguments, Settings: settings}
}

// TestNoCrashLosesOrDoublesAJob runs thirty jobs while everything that they depend on is killed, one after the other. Others
// begin and end meanwhile.
func TestNoCrashLosesOrDoublesAJob(t *testing.T) {
	n := cluster.Namespace(t)
	n.Scrapy("slow", scrapySettings)
	n.Scrapy("category", scrapySettings)
	n.Counter("counter")
	api := n.API("")
	seen := watchPods(t, n)
	seen.logsMayBeLost = true

	long, others := fleet{}, fleet{}
	for i := range 6 {
		long.start(n, t, fmt.Sprintf("slow-%d", i),
			crawling("slow", nil, map[string]v1alpha1.SettingValue{"CLOSESPIDER_ITEMCOUNT": v1alpha1.SettingValue(fmt.Sprint(40 + i))}),
			-1)
	}
	for i := range 4 {
		long.start(n, t, fmt.Sprintf("category-%d", i), crawling("category", map[string]v1alpha1.ArgumentValue{"category": "Travel"},
			map[string]v1alpha1.SettingValue{"DOWNLOAD_DELAY": "2.5"}), 30)
	}
	for i := range int64(20) {
		long.start(n, t, fmt.Sprintf("counter-%d", i), counting(1000+i), 1000+i)
	}
	for name := range long {
		n.AwaitPhase(name, v1alpha1.PhaseRunning, soon)
	}
	// Their ends are spread over the storm: it must not matter what is down at that moment.
	for i := range int64(10) {
		others.start(n, t, fmt.Sprintf("ends-%d", i), counting(50*(i+1)), 50*(i+1))
	}
	for _, component := range []string{"controller", "kube-apiserver", "etcd", "kubelet", "containerd"} {
		began := time.Now()
		if component == "controller" {
			killController(t)
		} else {
			machine.kill(t, component)
			// The REST API answers from what it knows, whatever part of Kubernetes is down.
			if jobs := api.List("?limit=1000"); len(jobs) < len(long) {
				t.Errorf("without %s the API shows %d jobs", component, len(jobs))
			}
			machine.start(t, component)
		}
		t.Logf("%s was killed and serves again after %s", component, time.Since(began).Round(100*time.Millisecond))
		others.start(n, t, "after-"+component, counting(20), 20)
	}
	for name := range long {
		n.AwaitPhase(name, v1alpha1.PhaseRunning, soon)
	}
	for name, items := range others {
		seen.ranOnce(t, name, items)
	}
	for name, items := range long {
		seen.ranOnce(t, name, items)
	}
	settle(t)
}
