package admission

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/internal/order"
)

var epoch = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

const shop = "shop"

func run(i int) order.Run {
	return order.Run{Name: fmt.Sprintf("run-%03d", i), User: "ann", Spider: "books", Created: epoch.Add(time.Duration(i) * time.Second)}
}

func key(r order.Run) types.NamespacedName {
	return types.NamespacedName{Namespace: shop, Name: r.Name}
}

// woken returns the names that the gate has enqueued since the last call.
func woken(g *Gate) (names []string) {
	for {
		synctest.Wait()
		select {
		case e := <-g.Woken():
			names = append(names, e.Object.GetName())
		default:
			return names
		}
	}
}

// started returns a Gate that enqueues, and limits the namespace to two runs.
func started(t *testing.T) *Gate {
	t.Helper()
	g := New()
	go g.Enqueue(t.Context())
	g.SetQuota(shop, &v1alpha1.SpiderQuotaSpec{MaxRunning: 2}, epoch)
	return g
}

// TestGate admits as many as the limit allows, and enqueues the next when a place is free.
func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := started(t)
		for i, want := range []bool{true, true, false, false} {
			if v := g.Wants(shop, run(i), epoch); v.Go != want {
				t.Fatalf("run %d: %+v", i, v)
			}
		}
		v := g.Wants(shop, run(2), epoch)
		if v.Message != "waits for 1 of 2 places of the namespace" {
			t.Errorf("it says: %s", v.Message)
		}
		g.Runs(shop, run(0))
		g.Runs(shop, run(1))
		if names := woken(g); len(names) > 0 {
			t.Errorf("%s were enqueued without a place", names)
		}
		g.Gone(key(run(0)), epoch)
		if names := woken(g); !slices.Equal(names, []string{run(2).Name}) {
			t.Errorf("%s were enqueued", names)
		}
		if v := g.Wants(shop, run(3), epoch); v.Go {
			t.Error("the place of one that was enqueued is given to another")
		}
		if v := g.Wants(shop, run(2), epoch); !v.Go {
			t.Errorf("one that was enqueued has to wait: %s", v.Message)
		}
		for i := range 4 {
			g.Gone(key(run(i)), epoch)
		}
		g.SetQuota(shop, nil, epoch)
		if len(g.namespaces) > 0 {
			t.Error("a namespace is remembered of which there is nothing to know")
		}
	})
}

// TestUnlimitedNamespacesPass asserts that without limits nobody waits, and that nothing is remembered of who has ended.
func TestUnlimitedNamespacesPass(t *testing.T) {
	g := New()
	for i := range 1000 {
		if v := g.Wants(shop, run(i), epoch); !v.Go {
			t.Fatalf("it waits: %s", v.Message)
		}
		g.Runs(shop, run(i))
		g.Gone(key(run(i)), epoch)
	}
	if len(g.namespaces) > 0 {
		t.Error("a namespace without limits and jobs is remembered")
	}
}

// TestUnusedPlacesAreTakenBack has a SpiderJob admitted that never asks again.
func TestUnusedPlacesAreTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := started(t)
		for i := range 4 {
			g.Wants(shop, run(i), epoch)
		}
		g.Gone(key(run(0)), epoch) // run 2 is admitted, and enqueued
		woken(g)
		if v := g.Wants(shop, run(3), epoch.Add(patience)); v.Go {
			t.Error("a place is taken back at once")
		}
		if v := g.Wants(shop, run(3), epoch.Add(patience+time.Second)); !v.Go {
			t.Errorf("a place that nobody uses blocks others: %s", v.Message)
		}
	})
}

// TestNewLeader asserts that a leader admits what limits concern only when it knows what runs.
func TestNewLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := started(t)
		g.close()
		if v := g.Wants(shop, run(5), epoch); v.Go || v.Message != "" {
			t.Errorf("it admits without knowing the limits, or says something that is true for a moment only: %+v", v)
		}
		g.know(epoch)
		if v := g.Wants(shop, run(5), epoch); v.Go || v.Message == "" {
			t.Errorf("it admits without knowing what runs: %+v", v)
		}
		if v := g.Wants("other", run(5), epoch); !v.Go {
			t.Errorf("a namespace without limits has to wait: %s", v.Message)
		}
		g.Runs(shop, run(0)) // its predecessor's
		g.open(epoch)
		if names := woken(g); !slices.Equal(names, []string{run(5).Name}) {
			t.Errorf("%s were enqueued", names)
		}
		if v := g.Wants(shop, run(6), epoch); v.Go || v.Message == SettlingMessage {
			t.Errorf("it does not count what its predecessor has started, or still says that it does not know: %+v", v)
		}
	})
}

// TestLimitsHold lets SpiderJobs of random users, spiders and groups come, run and go, while limits change, and asserts that no
// limit is passed by an admission, and that nobody waits while there is room.
func TestLimitsHold(t *testing.T) {
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) { limitsHold(t, seed) })
	}
}

func limitsHold(t *testing.T, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 0))
	g := New()
	go g.Enqueue(t.Context())
	runs := map[string]order.Run{}
	has := map[string]bool{} // a Job
	reconcile := func(name string) {
		r, exists := runs[name]
		switch {
		case !exists:
		case has[name]:
			g.Runs(shop, r)
		case g.Wants(shop, r, epoch).Go:
			has[name] = true
			if running := counts(runs, has); running["*"] > 3 || running["user "+r.User] > 2 || running["spider "+r.Spider] > 2 ||
				running["group "+r.Group] > 2 {
				t.Fatalf("seed %d: %s is admitted beyond a limit: %v", seed, name, running)
			}
		}
	}
	g.SetQuota(shop, &v1alpha1.SpiderQuotaSpec{MaxRunning: 3, MaxRunningPerUser: 2, DefaultGroupMax: 2}, epoch)
	for s := range 3 {
		g.SetSpider(types.NamespacedName{Namespace: shop, Name: fmt.Sprint("spider-", s)}, 2, epoch)
	}
	for i := range 200 {
		switch n := random.IntN(10); {
		case n < 5:
			r := run(i)
			r.User, r.Spider = fmt.Sprint("user-", random.IntN(3)), fmt.Sprint("spider-", random.IntN(3))
			r.Group = fmt.Sprint("group-", random.IntN(2))
			runs[r.Name] = r
			reconcile(r.Name)
		case len(runs) > 0:
			names := make([]string, 0, len(runs))
			for name := range runs {
				names = append(names, name)
			}
			slices.Sort(names)
			name := names[random.IntN(len(names))]
			if n < 8 {
				r := runs[name]
				delete(runs, name)
				delete(has, name)
				g.Gone(key(r), epoch)
			} else {
				reconcile(name)
			}
		}
		for names := woken(g); len(names) > 0; names = woken(g) {
			for _, name := range names {
				reconcile(name)
			}
		}
		running := counts(runs, has)
		for name, r := range runs {
			if !has[name] && running["*"] < 3 && running["user "+r.User] < 2 && running["spider "+r.Spider] < 2 && running["group "+r.Group] < 2 {
				t.Fatalf("seed %d: %s waits although there is room: %v", seed, name, running)
			}
		}
	}
}

// counts tells how many of the runs have a Job, by what limits them.
func counts(runs map[string]order.Run, has map[string]bool) map[string]int {
	counted := map[string]int{}
	for name := range has {
		r := runs[name]
		counted["*"]++
		counted["user "+r.User]++
		counted["spider "+r.Spider]++
		counted["group "+r.Group]++
	}
	return counted
}
