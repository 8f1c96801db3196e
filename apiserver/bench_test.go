package apiserver

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/google/uuid"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// populations are sizes of views that requests are compared in.
var populations = []int{1_000, 100_000}

// populated is a REST API with a view of n jobs of one user, and that user's key.
func populated(t testing.TB, n int) (f *testAPI, key string, ids []string) {
	t.Helper()
	f = newTestAPI(t, func(config *Config) { config.Log = slog.New(slog.NewJSONHandler(io.Discard, nil)) })
	key = f.key("team", "alice")
	f.spider("team", "books")
	f.spider("team", "quotes")
	phases := []v1alpha1.Phase{
		v1alpha1.PhaseFinished, v1alpha1.PhaseError, v1alpha1.PhaseCancelled, v1alpha1.PhaseRunning, v1alpha1.PhasePending,
	}
	for i := range n {
		job := &v1alpha1.SpiderJob{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: "team", Name: uuid.Must(uuid.NewV7()).String(), ResourceVersion: strconv.Itoa(i + 1),
				CreationTimestamp: metav1.Unix(1_700_000_000+int64(i/3), 0),
			},
			Spec: v1alpha1.SpiderJobSpec{
				SpiderRef: v1alpha1.SpiderReference{Name: []string{"books", "quotes"}[i/5%2]},
				Arguments: map[string]v1alpha1.ArgumentValue{"start_url": v1alpha1.ArgumentValue(strings.Repeat("x", 191))},
				UserID:    "alice",
			},
			Status: v1alpha1.SpiderJobStatus{
				Phase: phases[i%5], Reason: "Completed", Message: "The spider ran to its end.", Attempts: 1,
				StartedAt: new(metav1.Unix(1_700_100_000, 0)), FinishedAt: new(metav1.Unix(1_700_200_000, 0)), ExitCode: new(int32(0)),
				Stats: &v1alpha1.Stats{ItemsScraped: 142, Source: v1alpha1.OriginScrapyStats, Final: true},
			},
		}
		job.Labels = map[string]string{v1alpha1.LabelOrigin: []string{"api", "schedule"}[i/2%2]}
		if i%2 == 0 {
			job.AddTags("nightly")
		}
		f.cluster.watch.Set("", mustCompact(job))
		ids = append(ids, job.Name)
	}
	return f, key, ids
}

// costly is what is measured: do makes the ith request.
type costly struct {
	name string
	do   func(i int)
}

// requests are the calls whose cost is compared. The one that changes the view is the last.
func requests(t testing.TB, f *testAPI, key string, ids []string) []costly {
	t.Helper()
	serve := func(method, path, body string) []byte {
		request := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
		request.Header.Set("Authorization", "Bearer "+key)
		recorder := httptest.NewRecorder()
		f.server.ServeHTTP(recorder, request)
		if recorder.Code != http.StatusOK {
			t.Fatalf("%s %s: answer %d %s", method, path, recorder.Code, recorder.Body)
		}
		return recorder.Body.Bytes()
	}
	get := func(path string) func(int) { return func(int) { serve(http.MethodGet, path, "") } }
	return []costly{
		{"list", get("/api/v1/jobs")},
		{"list, status", get("/api/v1/jobs?status=error")},
		{"list, statuses", get("/api/v1/jobs?status=error&status=running&status=pending")},
		{"list, spider", get("/api/v1/jobs?spider_name=books")},
		{"list, spider, status", get("/api/v1/jobs?spider_name=books&status=finished")},
		{"list, tag", get("/api/v1/jobs?tag=nightly")},
		{"list, origin", get("/api/v1/jobs?origin=schedule")},
		{"list, tag, no tag", get("/api/v1/jobs?tag=nightly&lacks_tag=eu&status=finished")},
		{"list, since", get("/api/v1/jobs?created_after=2023-11-14T22:13:21Z")},
		{"get", func(i int) { serve(http.MethodGet, "/api/v1/jobs/"+ids[i%len(ids)], "") }},
		{"start, then cancel", startThenCancel(serve)},
	}
}

func startThenCancel(serve func(method, path, body string) []byte) func(int) {
	return func(int) {
		var started struct {
			JobID string `json:"jobId"`
		}
		answer := serve(http.MethodPost, "/api/v1/jobs", `{"spider_name": "books", "arguments": {"category": "Travel"}}`)
		if err := json.Unmarshal(answer, &started); err != nil {
			panic(err)
		}
		serve(http.MethodDelete, "/api/v1/jobs/"+started.JobID, "")
	}
}

// BenchmarkRequests measures whole requests, but for the connection, in views of different sizes.
func BenchmarkRequests(b *testing.B) {
	for _, n := range populations {
		f, key, ids := populated(b, n)
		for _, request := range requests(b, f, key, ids) {
			b.Run(fmt.Sprintf("%s/%d", request.name, n), func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					request.do(i)
				}
			})
		}
	}
}

// TestRequestsAllocateTheSameInAViewOfAnySize compares what requests allocate, which does not depend on how busy the machine is.
func TestRequestsAllocateTheSameInAViewOfAnySize(t *testing.T) {
	if testing.Short() {
		t.Skip("measures a view of 100,000 jobs")
	}
	allocated := make([]map[string]allocation, len(populations))
	for i, n := range populations {
		allocated[i] = map[string]allocation{}
		f, key, ids := populated(t, n)
		for _, request := range requests(t, f, key, ids) {
			allocated[i][request.name] = allocationOf(request.do)
		}
	}
	for name, small := range allocated[0] {
		large := allocated[1][name]
		t.Logf("%-20s %5.0f allocations of %6.0f bytes among %d jobs, %5.0f of %6.0f among %d",
			name, small.objects, small.bytes, populations[0], large.objects, large.bytes, populations[1])
		if large.objects > 1.2*small.objects || large.bytes > 1.2*small.bytes {
			t.Errorf("%s: what a request allocates grows with the number of jobs: %+v, then %+v", name, small, large)
		}
	}
}

// allocation is what one request allocates on the heap, the client's part of it included.
type allocation struct{ objects, bytes float64 }

func allocationOf(request func(i int)) allocation {
	const runs = 100
	request(0) // what is made once
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for i := range runs {
		request(i)
	}
	runtime.ReadMemStats(&after)
	return allocation{
		objects: float64(after.Mallocs-before.Mallocs) / runs,
		bytes:   float64(after.TotalAlloc-before.TotalAlloc) / runs,
	}
}
