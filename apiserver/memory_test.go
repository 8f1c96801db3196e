package apiserver

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/kube"
	"github.com/scrapethis/spider-operator/apiserver/view"
)

// madeUp is a Kubernetes with so many SpiderJobs that it makes them when they are listed: each time the same.
type madeUp struct {
	client.WithWatch

	jobs, argumentBytes int
	// listed is called with each page that was made, by its first job.
	listed func(from int)
}

func (m *madeUp) job(i int) v1alpha1.SpiderJob {
	id := uuid.NewSHA1(uuid.Nil, []byte(strconv.Itoa(i)))
	id[6] = 0x70 | id[6]&0x0f
	job := v1alpha1.SpiderJob{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "team", Name: id.String(), ResourceVersion: strconv.Itoa(1000 + i),
			CreationTimestamp: metav1.Unix(1_700_000_000+int64(i), 0),
		},
	}
	job.Spec.UserID, job.Spec.SpiderRef.Name = fmt.Sprint("user-", i%100), fmt.Sprint("spider-", i%20)
	job.Status.Phase, job.Status.Reason, job.Status.Message = v1alpha1.PhaseFinished, "Completed", fmt.Sprintf("%d items", i)
	job.Status.Spider = &v1alpha1.SpiderSnapshot{Name: job.Spec.SpiderRef.Name, Image: "spiders:1"}
	if m.argumentBytes > 0 {
		job.Spec.Arguments = map[string]v1alpha1.ArgumentValue{"a": v1alpha1.ArgumentValue(strings.Repeat("x", m.argumentBytes-1))}
	}
	return job
}

func (m *madeUp) List(_ context.Context, list client.ObjectList, options ...client.ListOption) error {
	all := new(client.ListOptions).ApplyOptions(options)
	from := 0
	if all.Continue != "" {
		var err error
		if from, err = strconv.Atoi(all.Continue); err != nil {
			return err
		}
	}
	to := min(m.jobs, from+int(all.Limit))
	page, ok := list.(*v1alpha1.SpiderJobList)
	if !ok {
		return fmt.Errorf("there is no %T", list)
	}
	page.ResourceVersion = strconv.Itoa(1000 + m.jobs)
	for i := from; i < to; i++ {
		page.Items = append(page.Items, m.job(i))
	}
	if to < m.jobs {
		page.Continue = strconv.Itoa(to)
	}
	m.listed(from)
	return nil
}

func (m *madeUp) Watch(context.Context, client.ObjectList, ...client.ListOption) (watch.Interface, error) {
	return watch.NewRaceFreeFake(), nil
}

// feed reads a complete list into a view, as a feed does at its start or after a break.
func (m *madeUp) feed(t testing.TB, jobs *view.Jobs) {
	t.Helper()
	feed := &kube.Feed[*v1alpha1.SpiderJob, *view.Job]{
		Client: m, Sink: jobs, Compact: view.FromSpiderJob, Report: func(err error) { t.Error(err) },
		NewList: func() client.ObjectList { return &v1alpha1.SpiderJobList{} },
	}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { feed.Run(ctx) })
	eventually(t, "the list is read", func() bool { return feed.State(time.Now()).Synced })
	stop()
	running.Wait()
}

func heap() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// BenchmarkMemory measures as many jobs as a large installation keeps.
func BenchmarkMemory(b *testing.B) {
	for b.Loop() {
		measureMemory(b, 100_000)
	}
}

func measureMemory(t testing.TB, n int) {
	t.Helper()
	const most = 32 << 10
	taken := map[int]int64{}
	for _, argumentBytes := range []int{0, most} {
		kubernetes := &madeUp{jobs: n, argumentBytes: argumentBytes, listed: func(int) {}}
		shown := view.NewJobs(view.NewSpiders())
		before := heap()
		kubernetes.feed(t, shown)
		filled := heap()
		taken[argumentBytes] = filled - before

		peak := filled
		kubernetes.listed = func(from int) {
			if from%(n/10) == 0 {
				peak = max(peak, heap())
			}
		}
		began := time.Now()
		kubernetes.feed(t, shown)
		t.Logf("%d jobs with %d bytes of arguments: %d bytes a job; to read an unchanged list takes %s, and at most %.1f MiB more",
			n, argumentBytes, taken[argumentBytes]/int64(n), time.Since(began).Round(time.Millisecond), float64(peak-filled)/(1<<20))
		if peak-filled > 16<<20 { // A page, which is 8 MiB where all arguments are as long as can be.
			t.Errorf("a list takes %d bytes while it is read", peak-filled)
		}
		if shown.Len() != n {
			t.Errorf("the view has %d jobs", shown.Len())
		}
		if usage := shown.Usage("team"); usage.ArgumentBytes != int64(n*argumentBytes) {
			t.Errorf("the view counts %d bytes of arguments", usage.ArgumentBytes)
		}
	}
	if long, none := taken[most], taken[0]; long > none+none/50 {
		t.Errorf("with long arguments the jobs take %d bytes, without any %d", long, none)
	}
}
