package spiderjob

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	simulateSeeds    = flag.Int("simulate.seeds", 1000, "how many histories TestSimulation tells")
	simulateFrom     = flag.Uint64("simulate.from", 1, "the first seed of TestSimulation")
	simulateTroubles = flag.String("simulate.troubles", "all", "the kinds of trouble in TestSimulation, as in all,-clocks")
	simulateWithout  = flag.String("simulate.without", "", "invariants, separated by commas, that TestSimulation does not check")
	simulateTally    = flag.Bool(
		"simulate.tally", false, "go on after a violation, and tell how often each invariant breaks and where first",
	)
	simulateSeed = flag.Uint64("simulate.seed", 0, "tell the story of this seed alone")
)

// TestSimulation runs the operator through histories of a hostile cluster, and checks what must always hold.
func TestSimulation(t *testing.T) {
	troubles, err := parseTroubles(*simulateTroubles)
	if err != nil {
		t.Fatal(err)
	}
	s := simulation{troubles: troubles, without: strings.Split(*simulateWithout, ",")}
	if *simulateWithout == "all" {
		s.without = everyInvariant
	}
	if *simulateSeed != 0 {
		h := tellHistory(t, *simulateSeed, s)
		t.Logf("seed %d\n%s", *simulateSeed, h)
		if h.broken != "" {
			t.Fail()
		}
		return
	}
	if *simulateTally {
		tally(t, *simulateFrom, *simulateSeeds, s)
		return
	}
	if broken := explore(t, *simulateFrom, *simulateSeeds, s); broken != nil {
		t.Fatal(shrunk(t, broken, s))
	}
}

// TestSimulationIsDeterministic checks that the same seed gives the same history, byte for byte.
func TestSimulationIsDeterministic(t *testing.T) {
	s := simulation{troubles: everyTrouble, without: everyInvariant}
	const many = 1000
	for first := uint64(0); first < many; first += many / 10 {
		t.Run(fmt.Sprint("from seed ", first), func(t *testing.T) {
			t.Parallel()
			for seed := first; seed < first+many/10; seed++ {
				a, b := tellHistory(t, seed, s).String(), tellHistory(t, seed, s).String()
				if a != b {
					t.Fatalf("seed %d gives two histories:\n%s", seed, cmp.Diff(a, b))
				}
			}
		})
	}
}

// TestUndisturbedHistoriesEndAsTheyShould checks that an operator that does nothing would not pass: undisturbed histories end
// as they should.
func TestUndisturbedHistoriesEndAsTheyShould(t *testing.T) {
	ends := map[string]int{}
	for seed := range uint64(200) {
		h := tellHistory(t, seed, simulation{without: everyInvariant})
		for _, j := range h.truth.jobs {
			ends[j.end]++
		}
	}
	for _, end := range []string{"Finished/Completed", "Error/ExitCode", "Error/SpiderFailed", "Error/DeadlineExceeded"} {
		if ends[end] < 5 {
			t.Errorf("only %d of %v end as %s", ends[end], ends, end)
		}
	}
}

// explore tells histories of the seeds from first on, and returns the one of the lowest seed that broke an invariant; nil if
// none.
func explore(t *testing.T, first uint64, n int, s simulation) *history {
	t.Helper()
	begun, reported := time.Now(), time.Now()
	var next, done atomic.Int64
	var mu sync.Mutex
	var broken *history
	var wait sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			for {
				i := next.Add(1) - 1
				mu.Lock()
				over := i >= int64(n) || broken != nil
				mu.Unlock()
				if over {
					return
				}
				h := tellHistory(t, first+uint64(i), s)
				done.Add(1)
				mu.Lock()
				if h.broken != "" && (broken == nil || h.seed < broken.seed) {
					broken = h
				}
				if time.Since(reported) > 5*time.Second {
					reported = time.Now()
					tellProgress(first, done.Load(), begun)
				}
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	tellProgress(first, done.Load(), begun)
	return broken
}

// tally tells how often each invariant breaks, and the first story in which it does.
func tally(t *testing.T, first uint64, n int, s simulation) {
	t.Helper()
	counts, firsts := map[string]int{}, map[string]*history{}
	for seed := first; seed < first+uint64(n); seed++ {
		h := tellHistory(t, seed, s)
		if h.broken == "" {
			continue
		}
		if counts[h.broken]++; counts[h.broken] == 1 {
			firsts[h.broken] = h
		}
	}
	for _, invariant := range everyInvariant {
		if h := firsts[invariant]; h != nil {
			t.Errorf("%d of %d histories break it: %s", counts[invariant], n, shrunk(t, h, s))
		}
	}
}

func tellProgress(first uint64, done int64, begun time.Time) {
	took := time.Since(begun)
	fmt.Fprintf(os.Stderr, "simulation: seeds %d to %d in %s, %.0f histories/s\n",
		first, first+uint64(done)-1, took.Round(time.Millisecond), float64(done)/took.Seconds())
}

// shrunk is the shortest story found in which the same invariant breaks: kinds of trouble and steps are left out as long as it
// does.
func shrunk(t *testing.T, h *history, s simulation) string {
	t.Helper()
	best, tries := h, 0
	breaks := func(troubles trouble, skip []bool) bool {
		tries++
		again := retell(t, h.seed, s, troubles, skip)
		if again.broken != h.broken {
			return false
		}
		best = again
		return true
	}
	troubles, skip := s.troubles, make([]bool, storyLength)
	for i := range troubleNames {
		if less := troubles &^ (1 << i); less != troubles && breaks(less, skip) {
			troubles = less
		}
	}
	for span := storyLength / 2; span > 0; span /= 2 {
		for from := 0; from < storyLength; from += span {
			less := append([]bool(nil), skip...)
			changed := false
			for i := from; i < min(from+span, storyLength); i++ {
				changed = changed || !less[i]
				less[i] = true
			}
			if changed && breaks(troubles, less) {
				skip = less
			}
		}
	}
	return fmt.Sprintf("seed %d breaks an invariant; shrunk in %d tries to the troubles %q:\n%s", h.seed, tries, troubles, best)
}
