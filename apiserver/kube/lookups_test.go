package kube

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestALookIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lookups := NewLookups()
		var reads atomic.Int32
		free := make(chan struct{})
		read := func(context.Context) error {
			reads.Add(1)
			<-free
			return nil
		}
		impatient, leave := context.WithCancel(t.Context())
		gone := make(chan error)
		go func() { gone <- lookups.Do(impatient, "team", "a", read) }()
		synctest.Wait()
		var together sync.WaitGroup
		for range 100 {
			together.Go(func() {
				if err := lookups.Do(t.Context(), "team", "a", read); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		leave() // Whoever asked first does not end what others wait for.
		if err := <-gone; !errors.Is(err, context.Canceled) {
			t.Errorf("who has gone is answered %v", err)
		}
		close(free)
		together.Wait()
		if n := reads.Load(); n != 1 {
			t.Errorf("%d reads, want 1", n)
		}
		time.Sleep(lookupStands - time.Millisecond)
		if err := lookups.Do(t.Context(), "team", "a", read); err != nil || reads.Load() != 1 {
			t.Errorf("%v, %d reads within the time that a look stands, want 1", err, reads.Load())
		}
		time.Sleep(time.Millisecond)
		if err := lookups.Do(t.Context(), "team", "a", read); err != nil || reads.Load() != 2 {
			t.Errorf("%v, %d reads after that, want 2", err, reads.Load())
		}
		for _, other := range []lookupKey{{"team", "b"}, {"other", "a"}} {
			before := reads.Load()
			if err := lookups.Do(t.Context(), other.namespace, other.name, read); err != nil || reads.Load() != before+1 {
				t.Errorf("%v: %v, %d reads", other, err, reads.Load()-before)
			}
		}
	})
}

func TestALookThatFailsIsMadeAgain(t *testing.T) {
	lookups := NewLookups()
	refused := errors.New("connection refused")
	for range 2 {
		if err := lookups.Do(t.Context(), "team", "a", func(context.Context) error { return refused }); !errors.Is(err, refused) {
			t.Errorf("error %v", err)
		}
	}
	if err := lookups.Do(t.Context(), "team", "a", func(context.Context) error { return nil }); err != nil {
		t.Errorf("error %v after Kubernetes has come back", err)
	}
}

// A Kubernetes that hangs, and a namespace that asks without end, leave the others their share.
func TestLooksAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lookups := NewLookups()
		var atOnce atomic.Int32
		hang := func(ctx context.Context) error {
			atOnce.Add(1)
			<-ctx.Done()
			atOnce.Add(-1)
			return ctx.Err()
		}
		var asking sync.WaitGroup
		ask := func(namespace string, count int) {
			for i := range count {
				asking.Go(func() {
					if err := lookups.Do(t.Context(), namespace, fmt.Sprint(i), hang); !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("error %v", err)
					}
				})
			}
			synctest.Wait()
		}
		begun := time.Now()
		ask("noisy", 1000)
		if n := atOnce.Load(); n != lookupsOfNamespace {
			t.Errorf("%d at once of a namespace, want %d", n, lookupsOfNamespace)
		}
		if err := lookups.Do(
			t.Context(), "quiet", "a", func(context.Context) error { return nil },
		); err != nil ||
			time.Since(begun) > 0 {
			t.Errorf("another namespace is answered %v after %s", err, time.Since(begun))
		}
		for i := range 10 {
			ask(fmt.Sprint("namespace-", i), lookupsOfNamespace)
		}
		if n := atOnce.Load(); n != lookupsAtOnce {
			t.Errorf("%d at once, want %d", n, lookupsAtOnce)
		}
		asking.Wait()
		if took := time.Since(begun); took > ReadTimeout {
			t.Errorf("the last is answered after %s", took)
		}
		if len(lookups.namespaces) > 0 || atOnce.Load() > 0 {
			t.Errorf("%d namespaces and %d looks are left", len(lookups.namespaces), atOnce.Load())
		}
	})
}
