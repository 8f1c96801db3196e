package schedule

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/types"
)

// TestManyDueAtOnce has a thousand schedules due in the same moment: they get their turns at the limiter's pace, each once.
func TestManyDueAtOnce(t *testing.T) {
	const schedules = 1000
	r := &Reconciler{limiter: rate.NewLimiter(creationsPerSecond, creationsPerSecond)}
	begun := clockAt("12:00:00")
	looks, turns := 0, map[time.Duration]int{}
	for i := range schedules {
		key := types.NamespacedName{Namespace: "shop", Name: fmt.Sprint("s-", i)}
		wait := r.turn(key, begun)
		for looks++; wait > 0; looks++ {
			now := begun.Add(wait)
			if wait = r.turn(key, now); wait == 0 {
				wait = -1
			}
			turns[now.Sub(begun).Truncate(time.Second)]++
		}
	}
	for second, n := range turns {
		if n > creationsPerSecond {
			t.Errorf("%d have their turn in second %s", n, second)
		}
	}
	if len(turns) < schedules/creationsPerSecond-2 || looks > 2*schedules {
		t.Errorf("%d schedules need %d looks and %d seconds", schedules, looks, len(turns))
	}
	if waiting := count(&r.turns); waiting > 0 {
		t.Errorf("%d turns are kept that were used", waiting)
	}
}
