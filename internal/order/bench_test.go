package order

import (
	"fmt"
	"testing"
)

// queueOf returns a namespace of ten users with ten spiders each, half of them of a group that is full, where 50 run, so that one
// more may start.
func queueOf(waiting int) (*Namespace, func(i int) Run) {
	run := func(i int) Run {
		group := ""
		if i%20 >= 10 {
			group = "full"
		}
		return Run{Name: fmt.Sprintf("run-%08d", i), User: fmt.Sprint("user-", i%10), Spider: fmt.Sprint("spider-", i/10%10), Group: group, Created: minute(i)}
	}
	n := New()
	n.SetLimits(Limits{Running: 52, Groups: map[string]int{"full": 1}})
	n.Start(Run{Name: "blocks", Group: "full"})
	for i := range waiting + 50 {
		n.Wait(run(i))
	}
	for range 50 {
		next, _ := n.Next()
		n.Start(next)
	}
	return n, run
}

// ratio reports how much longer something takes with 100,000 runs that wait than with 100.
func ratio(b *testing.B, work func(b *testing.B, waiting int)) {
	b.Helper()
	var few float64
	for _, waiting := range []int{100, 100000} {
		b.Run(fmt.Sprint(waiting), func(b *testing.B) {
			b.ReportAllocs()
			work(b, waiting)
			each := float64(b.Elapsed().Nanoseconds()) / float64(b.N)
			if waiting == 100 {
				few = each
			} else if few > 0 {
				b.ReportMetric(each/few, "times-as-long")
			}
		})
	}
}

// BenchmarkNext finds the next run.
func BenchmarkNext(b *testing.B) {
	ratio(b, func(b *testing.B, waiting int) {
		n, _ := queueOf(waiting)
		for b.Loop() {
			if _, ok := n.Next(); !ok {
				b.Fatal("none is next")
			}
		}
	})
}

// BenchmarkTurn is all that a run costs: one starts, and ends, and another one comes to wait.
func BenchmarkTurn(b *testing.B) {
	ratio(b, func(b *testing.B, waiting int) {
		n, run := queueOf(waiting)
		at := waiting + 50
		for b.Loop() {
			next, ok := n.Next()
			if !ok {
				b.Fatal("none is next")
			}
			n.Start(next)
			n.Remove(next.Name)
			again := next
			again.Name, again.Created = run(at).Name, minute(at)
			n.Wait(again)
			at++
		}
	})
}

// BenchmarkPositions finds the first of those that wait, 100 at most.
func BenchmarkPositions(b *testing.B) {
	ratio(b, func(b *testing.B, waiting int) {
		n, _ := queueOf(waiting)
		for b.Loop() {
			n.Positions(100)
		}
	})
}
