package controllers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordinationv1client "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"pgregory.net/rapid"
)

// leases are the Leases of a namespace, as kube-apiserver keeps them.
type leases struct {
	mu      sync.Mutex
	version int
	kept    map[string]*coordinationv1.Lease
}

// leaseClient is a process's way to the Leases.
type leaseClient struct {
	coordinationv1client.LeaseInterface
	leases *leases
	cut    atomic.Bool
}

// latency is how long a call is under way, to kube-apiserver and back each.
const latency = 40 * time.Millisecond

// call makes a call. A caller that gives it up on its way back does not learn what became of it.
func call[T any](ctx context.Context, do func() (T, error)) (T, error) {
	var none T
	if !wait(ctx, latency) {
		return none, ctx.Err()
	}
	result, err := do()
	if !wait(ctx, latency) {
		return none, ctx.Err()
	}
	return result, err
}

func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

var errCut = errors.New("kube-apiserver cannot be reached")

func (c *leaseClient) Leases(string) coordinationv1client.LeaseInterface { return c }

func (c *leaseClient) Get(ctx context.Context, name string, _ metav1.GetOptions) (*coordinationv1.Lease, error) {
	return call(ctx, func() (*coordinationv1.Lease, error) { return c.read(name) })
}

func (c *leaseClient) read(name string) (*coordinationv1.Lease, error) {
	c.leases.mu.Lock()
	defer c.leases.mu.Unlock()
	lease := c.leases.kept[name]
	switch {
	case c.cut.Load():
		return nil, errCut
	case lease == nil:
		return nil, apierrors.NewNotFound(coordinationv1.Resource("leases"), name)
	}
	return lease.DeepCopy(), nil
}

func (c *leaseClient) Create(
	ctx context.Context, lease *coordinationv1.Lease, _ metav1.CreateOptions,
) (*coordinationv1.Lease, error) {
	return c.write(ctx, lease, func(kept *coordinationv1.Lease) error {
		if kept != nil {
			return apierrors.NewAlreadyExists(coordinationv1.Resource("leases"), lease.Name)
		}
		return nil
	})
}

func (c *leaseClient) Update(
	ctx context.Context, lease *coordinationv1.Lease, _ metav1.UpdateOptions,
) (*coordinationv1.Lease, error) {
	return c.write(ctx, lease, func(kept *coordinationv1.Lease) error {
		switch {
		case kept == nil:
			return apierrors.NewNotFound(coordinationv1.Resource("leases"), lease.Name)
		case kept.ResourceVersion != lease.ResourceVersion:
			return apierrors.NewConflict(coordinationv1.Resource("leases"), lease.Name, nil)
		}
		return nil
	})
}

func (c *leaseClient) write(
	ctx context.Context, lease *coordinationv1.Lease, check func(kept *coordinationv1.Lease) error,
) (*coordinationv1.Lease, error) {
	return call(ctx, func() (*coordinationv1.Lease, error) { return c.put(lease, check) })
}

func (c *leaseClient) put(
	lease *coordinationv1.Lease,
	check func(kept *coordinationv1.Lease) error,
) (*coordinationv1.Lease, error) {
	c.leases.mu.Lock()
	defer c.leases.mu.Unlock()
	if c.cut.Load() {
		return nil, errCut
	}
	if err := check(c.leases.kept[lease.Name]); err != nil {
		return nil, err
	}
	c.leases.version++
	lease = lease.DeepCopy()
	lease.ResourceVersion = fmt.Sprint(c.leases.version)
	c.leases.kept[lease.Name] = lease
	return lease.DeepCopy(), nil
}

// candidate is a controller's Pod.
type candidate struct {
	release string
	older   bool // it knows the shared Lease only
	client  *leaseClient
	leads   atomic.Bool
	// end ends it: by a signal, so that it gives up its Leases, or with no time to.
	end func(signal bool)
}

func (c *candidate) String() string {
	return fmt.Sprintf("%s (older: %t, cut off: %t)", c.release, c.older, c.client.cut.Load())
}

func stand(l *leases, number int, release string, older bool) *candidate {
	c := &candidate{release: release, older: older, client: &leaseClient{leases: l}}
	host := fmt.Sprintf("%s-controller-%010d-%05d", release, number, number)
	opts := DefaultOptions()
	opts.Lease = release + ".controller.scrapethis.app"
	election := opts.Config.LeaderElection
	var lock resourcelock.Interface = makeLeaseLock(c.client, "operators", host, opts)
	if older {
		lock = &resourcelock.LeaseLock{
			LeaseMeta: metav1.ObjectMeta{Namespace: "operators", Name: sharedLease}, Client: c.client,
			LockConfig: resourcelock.ResourceLockConfig{Identity: host + "_" + fmt.Sprint(number)},
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: lock, LeaseDuration: election.LeaseDuration.Duration, RenewDeadline: election.RenewDeadline.Duration,
		RetryPeriod: election.RetryPeriod.Duration, ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(context.Context) { c.leads.Store(true) },
			OnStoppedLeading: func() { c.leads.Store(false) },
		},
	})
	if err != nil {
		panic(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			elector.Run(ctx) // a process that has lost its lead is started anew
		}
	}()
	c.end = func(signal bool) {
		if !signal {
			c.client.cut.Store(true)
		}
		cancel()
		<-done
		c.leads.Store(false)
	}
	return c
}

func standing(candidates []*candidate) string {
	var names []string
	for _, c := range candidates {
		names = append(names, c.String())
	}
	return strings.Join(names, ", ")
}

// TestNeverTwoLead rolls a release from the version that knows only the shared Lease to this one, and back, beside another
// release, while Pods die and are cut off from kube-apiserver: never do two controllers of a release lead, and in the end each
// release has a leader.
func TestNeverTwoLead(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		synctest.Test(t, func(*testing.T) {
			l := &leases{kept: map[string]*coordinationv1.Lease{}}
			var candidates []*candidate
			number := 0
			start := func(release string, older bool) {
				number++
				candidates = append(candidates, stand(l, number, release, older))
			}
			end := func(i int, signal bool) {
				candidates[i].end(signal)
				candidates = append(candidates[:i], candidates[i+1:]...)
			}
			defer func() {
				for len(candidates) > 0 {
					end(0, true)
				}
			}()
			leaders := func() map[string]int {
				synctest.Wait()
				count := map[string]int{}
				for _, c := range candidates {
					if c.leads.Load() {
						count[c.release]++
					}
				}
				for release, n := range count {
					if n > 1 {
						rt.Fatalf("%d controllers of release %s lead, of %s", n, release, standing(candidates))
					}
				}
				return count
			}
			for range rapid.IntRange(1, 30).Draw(rt, "steps") {
				switch step := rapid.SampledFrom([]string{"older", "newer", "other", "stop", "kill", "cut", "heal"}).Draw(rt, "step"); {
				case step == "older" && len(candidates) < 6:
					start("shop", true)
				case step == "newer" && len(candidates) < 6:
					start("shop", false)
				case step == "other" && len(candidates) < 6:
					start("blog", false)
				case len(candidates) == 0:
				default:
					i := rapid.IntRange(0, len(candidates)-1).Draw(rt, "which")
					switch step {
					case "stop", "kill":
						end(i, step == "stop")
					case "cut", "heal":
						candidates[i].client.cut.Store(step == "cut")
					}
				}
				for range rapid.IntRange(0, 20).Draw(rt, "half seconds") {
					time.Sleep(500 * time.Millisecond)
					leaders()
				}
			}
			for i := len(candidates) - 1; i >= 0; i-- {
				candidates[i].client.cut.Store(false)
				if candidates[i].older {
					end(i, rapid.Bool().Draw(rt, "signal"))
				}
			}
			start("shop", false)
			start("blog", false)
			time.Sleep(time.Minute)
			if got := leaders(); got["shop"] != 1 || got["blog"] != 1 {
				rt.Fatalf("a minute later the leaders are %v, of %s", got, standing(candidates))
			}
		})
	})
}

// TestAnotherReleaseIsNotWaitedFor has a release lead beside one of the earlier version, which holds the shared Lease for good.
func TestAnotherReleaseIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &leases{kept: map[string]*coordinationv1.Lease{}}
		older := stand(l, 1, "shop", true)
		time.Sleep(5 * time.Second)
		newer := stand(l, 2, "blog", false)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if !older.leads.Load() || !newer.leads.Load() {
			t.Errorf("the older release leads: %t, the newer one: %t", older.leads.Load(), newer.leads.Load())
		}
		older.end(true)
		newer.end(true)
	})
}

func TestDeploymentOfAPod(t *testing.T) {
	for pod, want := range map[string]string{
		"shop-controller-7d9f8c6b5d-x2k4q": "shop-controller",
		"node-1":                           "",
		"controller":                       "",
		"":                                 "",
		"ip-10-0-0-1.internal":             "",
	} {
		if got := deploymentOf(pod); got != want {
			t.Errorf("Pod %q is of Deployment %q, want %q", pod, got, want)
		}
	}
}

// TestALeaderThatStopsIsFollowedAtOnce ends leaders by a signal, at any moment between two renewals: the next one does not wait
// for the Lease to run out.
func TestALeaderThatStopsIsFollowedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &leases{kept: map[string]*coordinationv1.Lease{}}
		standing := []*candidate{stand(l, 1, "shop", false), stand(l, 2, "shop", false)}
		for i := range 40 {
			time.Sleep(5*time.Second + time.Duration(i)*70*time.Millisecond)
			synctest.Wait()
			if standing[1].leads.Load() {
				standing[0], standing[1] = standing[1], standing[0]
			}
			if !standing[0].leads.Load() {
				t.Fatal("no process leads")
			}
			standing[0].end(true)
			standing[0] = stand(l, i+3, "shop", false)
			time.Sleep(3 * time.Second)
			synctest.Wait()
			if !standing[0].leads.Load() && !standing[1].leads.Load() {
				t.Fatalf("3 s after leader %d had stopped there is no other", i)
			}
		}
		for _, c := range standing {
			c.end(true)
		}
	})
}
