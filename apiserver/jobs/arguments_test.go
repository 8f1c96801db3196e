package jobs

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/view"
)

// heldReads is a Kubernetes of one job whose reads wait.
type heldReads struct {
	Kubernetes

	job   *v1alpha1.SpiderJob
	begun atomic.Int64
	goOn  chan error
}

func (h *heldReads) Get(ctx context.Context, _, _ string) (*v1alpha1.SpiderJob, error) {
	h.begun.Add(1)
	select {
	case err := <-h.goOn:
		return h.job, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func TestReadersOfTheSameArgumentsShareARead(t *testing.T) {
	const readers = 50
	for _, test := range []struct {
		name string
		// happen is called when all wait.
		happen func(held *heldReads, cancelFirst func())
		shown  int
	}{
		{"Kubernetes answers", func(held *heldReads, _ func()) { held.goOn <- nil }, readers},
		{"the first reader goes", func(held *heldReads, cancelFirst func()) {
			cancelFirst()
			synctest.Wait()
			held.goOn <- nil
		}, readers - 1},
		{"Kubernetes fails", func(held *heldReads, _ func()) { held.goOn <- errors.New("connection refused") }, 0},
		{"Kubernetes hangs", func(*heldReads, func()) { time.Sleep(time.Minute) }, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				object := &v1alpha1.SpiderJob{
					ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "a-job", CreationTimestamp: metav1.Unix(1000, 0)},
				}
				object.Spec.Arguments = map[string]v1alpha1.ArgumentValue{"a": v1alpha1.ArgumentValue(strings.Repeat("x", 999))}
				job, err := view.FromSpiderJob(object)
				if err != nil {
					t.Fatal(err)
				}
				held := &heldReads{job: object, goOn: make(chan error)}
				service := New(Config{Kubernetes: held})
				first, cancelFirst := context.WithCancel(t.Context())
				defer cancelFirst()
				var shown, ended atomic.Int64
				read := func(ctx context.Context) {
					if arguments, ok := service.Arguments(ctx, job); ok && len(arguments) > 999 {
						shown.Add(1)
					}
					ended.Add(1)
				}
				go read(first)
				synctest.Wait()
				for range readers - 1 {
					go read(t.Context())
				}
				synctest.Wait()
				begun := time.Now()
				test.happen(held, cancelFirst)
				synctest.Wait()
				if shown.Load() != int64(test.shown) || ended.Load() != readers || held.begun.Load() != 1 {
					t.Errorf("%d of %d readers are shown the arguments, %d are answered; Kubernetes was asked %d times",
						shown.Load(), readers, ended.Load(), held.begun.Load())
				}
				if took := time.Since(begun); took > time.Minute {
					t.Errorf("it took %s", took)
				}
			})
		})
	}
}
