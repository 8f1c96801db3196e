package guard

import (
	"math/rand/v2"
	"strconv"
	"testing"
)

// opened is what a test has opened.
type opened struct {
	owner string
	leave func()
	lost  bool
}

func open(s *shares, owner string) *opened {
	o := &opened{owner: owner}
	leave, ok := s.enter(owner, func() { o.lost = true })
	if !ok {
		return nil
	}
	o.leave = leave
	return o
}

func TestWhoHasTheMostMakesRoom(t *testing.T) {
	s := newShares(4)
	var greedy []*opened
	for range 4 {
		greedy = append(greedy, open(s, "greedy"))
	}
	if open(s, "greedy") != nil {
		t.Error("whoever has everything is given more")
	}
	for i := range 2 {
		if open(s, "modest") == nil {
			t.Fatalf("the other one is refused, and has %d", i)
		}
		if !greedy[i].lost {
			t.Errorf("the oldest, number %d, did not make room", i)
		}
	}
	if greedy[2].lost || greedy[3].lost {
		t.Error("more made room than was needed")
	}
	if open(s, "modest") != nil || open(s, "greedy") != nil {
		t.Error("equals push each other out")
	}
	if open(s, "third") == nil {
		t.Error("a newcomer is refused")
	}
	if count, displaced := s.count(); count != 4 || displaced != 3 {
		t.Errorf("%d are open, %d made room; want 4, 3", count, displaced)
	}
	// What has lost its room leaves as everything does, and takes nobody's.
	greedy[0].leave()
	if count, _ := s.count(); count != 4 {
		t.Errorf("%d are open after one left that had made room already", count)
	}
}

// What is never refused: whoever has the most makes room, and where all have as much the owner itself.
func TestWhatIsNeverRefusedReplacesTheOldest(t *testing.T) {
	s := newShares(3)
	push := func(owner string) *opened {
		o := &opened{owner: owner}
		o.leave = s.push(owner, func() { o.lost = true })
		return o
	}
	slow := []*opened{push("a"), push("a"), push("a")}
	own := push("a")
	if !slow[0].lost || slow[1].lost {
		t.Error("its own oldest did not make room")
	}
	other := push("b")
	if !slow[1].lost || slow[2].lost {
		t.Error("the oldest of who has the most did not make room")
	}
	again := push("b")
	if !other.lost || slow[2].lost || own.lost {
		t.Error("who would have as much as another does not make room itself")
	}
	third := push("c")
	if !slow[2].lost {
		t.Error("the oldest of who has the most did not make room for a third one")
	}
	fourth := push("d")
	if own.lost == again.lost && again.lost == third.lost {
		t.Error("nobody made room for a fourth one")
	}
	for _, o := range append(slow, own, other, again, third, fourth) {
		o.leave()
	}
	if count, displaced := s.count(); count != 0 || displaced != 5 {
		t.Errorf("%d are open, %d made room; want 0, 5", count, displaced)
	}
}

// Whatever comes and goes: there is never too much, nobody is refused who has less than another by two or more, and nobody makes
// room for somebody who has as much.
func TestSharesKeepTheirPromises(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 2))
		most := 1 + random.IntN(8)
		s := newShares(most)
		var all []*opened
		count := func(owner string) (number, largest int) {
			counts := map[string]int{}
			for _, o := range all {
				counts[o.owner]++
				largest = max(largest, counts[o.owner])
			}
			return counts[owner], largest
		}
		for range 300 {
			if random.IntN(3) == 0 && len(all) > 0 {
				i := random.IntN(len(all))
				all[i].leave()
				all = append(all[:i], all[i+1:]...)
			} else {
				owner := strconv.Itoa(random.IntN(4))
				own, largest := count(owner)
				o := open(s, owner)
				entitled := len(all) < most || own+1 < largest
				if (o != nil) != entitled {
					t.Fatalf(
						"seed %d: with %d of %d open, %d its own and %d the largest share, one was let in: %t", seed, len(all), most, own, largest,
						o != nil,
					)
				}
				kept := all[:0]
				for _, one := range all {
					if !one.lost {
						kept = append(kept, one)
					}
				}
				if all = kept; o != nil {
					all = append(all, o)
				}
			}
			if open, _ := s.count(); open != len(all) || open > most {
				t.Fatalf("seed %d: %d are open, want %d of at most %d", seed, open, len(all), most)
			}
		}
	}
}
