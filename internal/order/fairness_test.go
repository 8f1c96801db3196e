package order

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// crowd is users who always have runs that wait, in a namespace with a limit.
type crowd struct {
	*Namespace
	running map[string][]Run
	made    int
}

// queue makes a run that waits.
func (c *crowd) queue(user string, created int) {
	c.made++
	c.Wait(Run{Name: fmt.Sprintf("run-%06d", c.made), User: user, Spider: "books", Created: minute(created)})
}

func (c *crowd) fill() {
	for {
		run, ok := c.Next()
		if !ok {
			return
		}
		c.Start(run)
		c.running[run.User] = append(c.running[run.User], run)
	}
}

// end ends a run of a user.
func (c *crowd) end(user string, i int) {
	c.Remove(c.running[user][i].Name)
	c.running[user] = slices.Delete(c.running[user], i, i+1)
}

// Of users who want more than there is, each has its share whatever ends: with a weight of w, nobody has 1/w more running per
// weight than another, which for equal weights is one run more.
func TestSharesFollowWeights(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weights := map[string]int{}
		names := []string{"ann", "bob", "cat", "dan", "eve"}[:rapid.IntRange(2, 5).Draw(t, "users")]
		equal := rapid.Bool().Draw(t, "equal weights")
		for _, name := range names {
			if !equal {
				weights[name] = rapid.IntRange(1, 6).Draw(t, "weight")
			}
		}
		weight := func(user string) int { return max(weights[user], 1) }
		limits := Limits{Running: rapid.IntRange(1, 40).Draw(t, "places"), Weights: weights}
		c := &crowd{Namespace: New(), running: map[string][]Run{}}
		c.SetLimits(limits)
		// One user has queued all of it long before the others.
		for i, name := range names {
			for range limits.Running {
				c.queue(name, i*1000)
			}
		}
		for round := range 20 {
			c.fill()
			for _, a := range names {
				for _, b := range names {
					if x, y := len(c.running[a]), len(c.running[b]); (x-1)*weight(b) > y*weight(a) {
						t.Fatalf("%s has %d running with a weight of %d, and %s %d with %d", a, x, weight(a), b, y, weight(b))
					}
				}
			}
			for _, name := range names {
				for ends := rapid.IntRange(0, len(c.running[name])).Draw(t, "end"); ends > 0; ends-- {
					c.end(name, rapid.IntRange(0, len(c.running[name])-1).Draw(t, "which"))
					c.queue(name, round)
				}
			}
		}
	})
}

func TestWeightsShareTwoToOne(t *testing.T) {
	c := &crowd{Namespace: New(), running: map[string][]Run{}}
	c.SetLimits(Limits{Running: 30, Weights: map[string]int{"ann": 2}})
	for range 100 {
		c.queue("bob", 0)
		c.queue("ann", 60)
	}
	started := map[string]int{}
	for range 4 {
		c.fill()
		if ann, bob := len(c.running["ann"]), len(c.running["bob"]); ann != 20 || bob != 10 {
			t.Fatalf("%d run for ann and %d for bob, want 20 and 10", ann, bob)
		}
		for _, user := range []string{"ann", "bob"} {
			for len(c.running[user]) > 0 {
				c.end(user, 0)
				started[user]++
			}
		}
	}
	if started["ann"] != 2*started["bob"] {
		t.Errorf("there ran %v", started)
	}
}

// Nobody waits for ever while others keep coming. With B runs waiting of each user, a user who has nothing running waits for the
// older runs only, which are fewer than B for each user; so each of the user's runs that come first, B at most, takes no longer
// than all these one after the other, and one run of the user's own that has to end before.
func TestNobodyWaitsForEver(t *testing.T) {
	const backlog, longest = 3, 3
	rapid.Check(t, func(t *rapid.T) {
		names := []string{"ann", "bob", "cat", "dan"}[:rapid.IntRange(2, 4).Draw(t, "users")]
		c := &crowd{Namespace: New(), running: map[string][]Run{}}
		c.SetLimits(Limits{
			Running:        rapid.IntRange(1, 6).Draw(t, "places"),
			RunningPerUser: rapid.IntRange(0, 3).Draw(t, "per user"),
			Weights:        map[string]int{"ann": rapid.IntRange(1, 100).Draw(t, "weight")},
		})
		bound := backlog * (len(names)*backlog + 1) * longest
		since, ends, waiting := map[string]int{}, map[string]int{}, map[string]int{}
		for round := range 3 * bound {
			for _, name := range names {
				for ; waiting[name] < backlog; waiting[name]++ {
					c.queue(name, round)
					since[fmt.Sprintf("run-%06d", c.made)] = round
				}
				for i := len(c.running[name]) - 1; i >= 0; i-- {
					if ends[c.running[name][i].Name] <= round {
						c.end(name, i)
					}
				}
			}
			c.fill()
			for _, name := range names {
				for _, run := range c.running[name] {
					if _, waited := since[run.Name]; waited {
						delete(since, run.Name)
						waiting[name]--
						ends[run.Name] = round + 1 + (round*7+len(run.Name)+c.made)%longest
					}
				}
			}
			for name, queued := range since {
				if round-queued > bound {
					t.Fatalf("%s has waited since round %d, it is %d", name, queued, round)
				}
			}
		}
	})
}

// The example: 2,000 runs of ten users, a minute each, and 50 places. One of the users has queued 1,500 runs an hour before the
// others queued theirs: five of them 56, four of them 55.
//
// By hand: ten users share 50 places, so each has five. In 11 minutes each starts 55. In the twelfth minute five users have one
// run left, and the first user has the other 45 places; from then on all 50, for the 1,500 - 55 - 45 = 1,400 that are left, which
// take 28 minutes more. 40 minutes in all are what 2,000 runs in 50 places have to take.
func TestOneUserWithALongQueueDoesNotHoldUpTheOthers(t *testing.T) {
	c := &crowd{Namespace: New(), running: map[string][]Run{}}
	c.SetLimits(Limits{Running: 50})
	queued := map[string]int{"first": 1500}
	for range queued["first"] {
		c.queue("first", 0)
	}
	for i := range 9 {
		name := fmt.Sprint("user-", i)
		queued[name] = 55
		if i < 5 {
			queued[name] = 56
		}
		for range queued[name] {
			c.queue(name, 60)
		}
	}
	// started has, by user, how many started in each minute.
	started := map[string][]int{}
	for range 40 {
		c.fill()
		for name := range queued {
			started[name] = append(started[name], len(c.running[name]))
			for len(c.running[name]) > 0 {
				c.end(name, 0)
			}
		}
	}
	if run, ok := c.Next(); ok {
		t.Fatalf("%+v has not started after 40 minutes", run)
	}
	for name, all := range queued {
		want := slices.Repeat([]int{5}, 11)
		if name == "first" {
			want = append(append(want, 45), slices.Repeat([]int{50}, 28)...)
		} else {
			want = append(append(want, all-55), slices.Repeat([]int{0}, 28)...)
		}
		if !slices.Equal(started[name], want) {
			t.Errorf("of %s there started %v, want %v", name, started[name], want)
		}
	}
	// The waits in minutes from the hour on, summed: of 5·(0+…+10) = 275 for the first 55 runs of each user.
	for name, want := range map[string]int{"first": 275 + 45*11 + 50*(12+39)*28/2, "user-0": 275 + 11, "user-8": 275} {
		sum := 0
		for at, count := range started[name] {
			sum += at * count
		}
		if sum != want {
			t.Errorf("the runs of %s waited %d minutes, want %d", name, sum, want)
		}
	}
}

// A user who holds all places when others come gives them up as runs end: nothing is stopped, and nothing else of that user starts
// before the others have their share.
func TestPlacesPassToThoseWhoComeLater(t *testing.T) {
	c := &crowd{Namespace: New(), running: map[string][]Run{}}
	c.SetLimits(Limits{Running: 50})
	for range 1500 {
		c.queue("first", 0)
	}
	c.fill()
	for i := range 9 {
		for range 55 {
			c.queue(fmt.Sprint("user-", i), 60)
		}
	}
	for ended := 1; ended <= 45; ended++ {
		c.end("first", 0)
		c.fill()
		if got := len(c.running["first"]); got != 50-ended {
			t.Fatalf("after %d ends the first user has %d running", ended, got)
		}
	}
	for name, running := range c.running {
		if len(running) != 5 {
			t.Errorf("%s has %d running, want 5", name, len(running))
		}
	}
}
