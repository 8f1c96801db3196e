package podlog

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestFinalReadsTheLogOnce(t *testing.T) {
	onBench(t, Options{}, func(b *bench) {
		log := b.kubelet.run("a")
		log.write(progressLine+closingLines, 20, "closespider_errorcount")
		log.terminate()
		begun := time.Now()
		for range 3 {
			b.collector.Want(target("a"), Final)
			r := b.after(time.Second, "a")
			b.assertItems(r, 20, true)
			if !r.Done || r.Err != nil || r.Opened || r.Counts.FinishReason != "closespider_errorcount" || !r.Since.Equal(begun) {
				b.Errorf("reading %+v", r)
			}
			b.collector.Want(target("a"), Sample)
			b.collector.Want(target("a"), Follow)
		}
		b.after(time.Minute, "a")
		if got := len(b.kubelet.openings()); got != 1 {
			b.Errorf("the log was read %d times", got)
		}
		if got := b.woken()["shop/job-of-a"]; got != 1 {
			b.Errorf("woken %d times", got)
		}
	})
}

func TestFinalWithoutCountsIsDoneToo(t *testing.T) {
	onBench(t, Options{}, func(b *bench) {
		log := b.kubelet.run("a")
		log.write(progressLine, 5)
		b.collector.Want(target("a"), Sample)
		b.after(10*time.Second, "a")
		log.change(func() { log.log = []byte("killed\n") })
		b.collector.Want(target("a"), Final)
		r := b.after(time.Second, "a")
		b.assertItems(r, 5, false)
		if !r.Done || r.Err != nil {
			b.Errorf("reading %+v", r)
		}
	})
}

func TestFinalRetriesTransientErrors(t *testing.T) {
	kubeletSays := func(code int) error {
		return apierrors.NewGenericServerResponse(code, "get", schema.GroupResource{Resource: "pods/log"}, "a", "no", 0, false)
	}
	for name, err := range map[string]error{
		"the API server fails":            kubeletSays(http.StatusInternalServerError),
		"the kubelet is away":             kubeletSays(http.StatusBadGateway),
		"the container is not there yet":  kubeletSays(http.StatusBadRequest),
		"the kubelet does not know it":    kubeletSays(http.StatusNotFound),
		"the connection is refused":       fmt.Errorf("dial: %w", syscall.ECONNREFUSED),
		"the API server asks for respite": apierrors.NewTooManyRequests("later", 1),
	} {
		t.Run(name, func(t *testing.T) {
			onBench(t, Options{}, func(b *bench) {
				log := b.kubelet.run("a")
				log.write(closingLines, 20, "finished")
				log.failures = []error{err, err, err, err}
				b.collector.Want(target("a"), Final)
				r := b.after(500*time.Millisecond, "a")
				if r.Done || r.Err == nil || !strings.Contains(r.Err.Error(), "shop/a") {
					b.Errorf("while it fails: %+v", r)
				}
				r = b.after(5*time.Second, "a")
				b.assertItems(r, 20, true)
				if !r.Done || r.Err != nil {
					b.Errorf("after it failed: %+v", r)
				}
			})
			onBench(t, Options{}, func(b *bench) {
				log := b.kubelet.run("a")
				for range 100 {
					log.failures = append(log.failures, err)
				}
				b.collector.Want(target("a"), Final)
				r := b.after(10*time.Second, "a")
				if !r.Done || !errors.Is(r.Err, err) {
					b.Errorf("after it failed for long: %+v", r)
				}
				if got := len(b.kubelet.openings()); got < 4 || got > 10 {
					b.Errorf("tried %d times", got)
				}
			})
		})
	}
}

func TestFinalRetriesALogThatTheKubeletCannotReadYet(t *testing.T) {
	onBench(t, Options{}, func(b *bench) {
		log := b.kubelet.run("a")
		log.write("unable to retrieve container logs for containerd://0123")
		b.collector.Want(target("a"), Final)
		if r := b.after(time.Second, "a"); r.Done || r.Err == nil {
			b.Errorf("reading %+v", r)
		}
		log.change(func() { log.log = nil })
		log.write(closingLines, 20, "finished")
		b.assertItems(b.after(3*time.Second, "a"), 20, true)
	})
}

func TestFinalOfAPodThatIsGoneIsDoneAtOnce(t *testing.T) {
	onBench(t, Options{}, func(b *bench) {
		b.collector.Want(target("a"), Final)
		r := b.after(0, "a")
		if !r.Done || r.Known || !apierrors.IsNotFound(r.Err) {
			b.Errorf("reading %+v", r)
		}
		b.after(time.Minute, "a")
		if got := len(b.kubelet.openings()); got != 1 {
			b.Errorf("tried %d times", got)
		}
	})
}

func TestFinalReadsAreBoundedInNumber(t *testing.T) {
	onBench(t, Options{Concurrency: 8}, func(b *bench) {
		for i := range 300 {
			log := b.kubelet.run(fmt.Sprint(i))
			log.endless = func([]byte) (int, error) {
				time.Sleep(10 * time.Millisecond)
				return 0, context.Canceled
			}
			b.collector.Want(target(fmt.Sprint(i)), Final)
		}
		time.Sleep(30 * time.Second)
		for i := range 300 {
			if r := b.after(0, fmt.Sprint(i)); !r.Done {
				b.Errorf("Pod %d: %+v", i, r)
			}
		}
		if b.kubelet.peak() > 4 {
			b.Errorf("%d logs were read at once", b.kubelet.peak())
		}
	})
}
