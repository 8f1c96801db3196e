package guard

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
)

// Whatever is added and removed, in whichever order, the ranking knows what a list of all things knows.
func TestRankingKnowsTheOwnerOfTheMost(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		r := newRanking[int]()
		var all []*place[int] // Oldest first.
		for step := range 300 {
			if len(all) == 0 || random.IntN(100) < 55 {
				all = append(all, r.add(strconv.Itoa(random.IntN(5)), step))
			} else {
				i := random.IntN(len(all))
				r.remove(all[i])
				all = slices.Delete(all, i, i+1)
			}
			counts, oldest := map[string]int{}, map[string]int{}
			for _, p := range slices.Backward(all) {
				counts[p.owner.name]++
				oldest[p.owner.name] = p.thing
			}
			most := 0
			for name, count := range counts {
				most = max(most, count)
				if r.count(name) != count || r.oldestOf(name).thing != oldest[name] {
					t.Fatalf("seed %d: of owner %s it knows %d things, the oldest %d; there are %d, and %d",
						seed, name, r.count(name), r.oldestOf(name).thing, count, oldest[name])
				}
			}
			number, p := r.most()
			if number != most || r.total != len(all) || (p == nil) != (most == 0) {
				t.Fatalf("seed %d: it says that the most are %d of %d, want %d of %d", seed, number, r.total, most, len(all))
			}
			if p != nil && (counts[p.owner.name] != most || oldest[p.owner.name] != p.thing) {
				t.Fatalf("seed %d: %s has %d things, the oldest %d; it was taken for the owner of the most, %d, with the oldest %d",
					seed, p.owner.name, counts[p.owner.name], oldest[p.owner.name], most, p.thing)
			}
		}
	}
	if r := newRanking[int](); r.oldestOf("nobody") != nil || r.count("nobody") != 0 {
		t.Error("there is something of nobody's")
	}
}

// Among those who have equally many, it is the one who has had so many for longest.
func TestRankingOfEquals(t *testing.T) {
	r := newRanking[string]()
	for _, name := range []string{"a", "b", "c"} {
		r.add(name, name)
	}
	for _, want := range []string{"a", "b", "c"} {
		_, p := r.most()
		if p.thing != want {
			t.Errorf("%s is first, want %s", p.thing, want)
		}
		r.remove(p)
	}
}
