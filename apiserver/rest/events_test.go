package rest

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/auth"
	"github.com/scrapethis/spider-operator/apiserver/guard"
	"github.com/scrapethis/spider-operator/apiserver/jobs"
	"github.com/scrapethis/spider-operator/apiserver/view"
)

// reader is the far end of a connection: what is written waits until it is taken.
type reader struct {
	header http.Header
	taken  chan struct{}
	mu     sync.Mutex
	text   bytes.Buffer
}

func (r *reader) Header() http.Header { return r.header }
func (r *reader) WriteHeader(int)     {}
func (r *reader) Flush()              {}
func (r *reader) Write(p []byte) (int, error) {
	<-r.taken
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *reader) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// answered begins to answer with the events of a view's jobs.
func answered(ctx context.Context, shown *view.Jobs, to http.ResponseWriter) (ended <-chan error) {
	service := jobs.New(jobs.Config{View: shown})
	stream := guard.StreamTo(ctx, to, time.Minute, func(context.Context) error { return nil })
	result := make(chan error, 1)
	go func() {
		result <- tell(stream, func(listener jobs.Listener) error {
			return service.Listen(ctx, auth.Identity{Namespace: "team", User: "team"}, "", listener)
		})
	}()
	return result
}

func TestSlowReaderOfEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shown := view.NewJobs(view.NewSpiders())
		shown.Replace("", nil, "1")
		revision := 1
		change := func(n int) {
			for range n {
				revision++
				job := &v1alpha1.SpiderJob{}
				job.Namespace, job.Name, job.ResourceVersion = "team", "a-job", fmt.Sprint(revision)
				compact, err := view.FromSpiderJob(job)
				if err != nil {
					t.Fatal(err)
				}
				shown.Set("", compact)
			}
		}
		slow := &reader{header: http.Header{}, taken: make(chan struct{})}
		ended := answered(t.Context(), shown, slow)
		slow.taken <- struct{}{} // ready
		synctest.Wait()
		change(2)
		synctest.Wait() // It is about to tell of the first.
		change(5000)
		slow.taken <- struct{}{} // job
		slow.taken <- struct{}{} // reset
		synctest.Wait()
		if text := slow.String(); strings.Count(text, "event: job") != 1 || !strings.Contains(text, `{"reason":"missed_events"}`) {
			t.Errorf("a reader that is left behind is told\n%s", text)
		}
		change(5000) // It does not keep up with the snapshot either.
		close(slow.taken)
		if err := <-ended; err != nil {
			t.Errorf("the answer ends with %v", err)
		}
		if text := slow.String(); !strings.HasSuffix(text, "event: end\ndata: {\"reason\":\"too_slow\"}\n\n") {
			t.Errorf("a reader that is much too slow is told\n%s", text)
		}
	})
}

func TestHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shown := view.NewJobs(view.NewSpiders())
		shown.Replace("", nil, "1")
		ctx, leave := context.WithCancel(t.Context())
		recorder := httptest.NewRecorder()
		ended := answered(ctx, shown, recorder)
		time.Sleep(40 * time.Second)
		shown.Bookmark("", "2") // Somebody else's doing.
		time.Sleep(21 * time.Second)
		leave()
		if err := <-ended; err != nil {
			t.Errorf("the answer ends with %v", err)
		}
		lines := strings.Split(strings.TrimSuffix(recorder.Body.String(), "\n\n"), "\n")
		var ids []string
		for _, line := range lines {
			if id, found := strings.CutPrefix(line, "id: "); found {
				ids = append(ids, id)
			}
		}
		if n := slices.Index(lines, ":"); n < 0 || len(ids) != 5 {
			t.Fatalf("%d ids with four heartbeats in a minute, want 5:\n%s", len(ids), recorder.Body)
		}
		if ids[2] != ids[0] || ids[3] == ids[2] || ids[4] != ids[3] {
			t.Errorf("the ids of ready and of four heartbeats are %q; the third is behind a bookmark", ids)
		}
		// A browser takes a comment and an id for no event.
		if strings.Contains(recorder.Body.String(), ":\nevent") || strings.Count(recorder.Body.String(), "event: ") != 1 {
			t.Errorf("a heartbeat is told as an event:\n%s", recorder.Body)
		}
	})
}
