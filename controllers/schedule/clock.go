package schedule

import (
	"context"
	"fmt"
	"time"

	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

const (
	// clockInterval is how often the machine's clock is compared with the time that has passed.
	clockInterval = 10 * time.Second
	// clockTolerance is by how much they may differ: clocks are slewed all the time.
	clockTolerance = 2 * time.Second
)

// clockWatch has all schedules looked at when the machine's clock is set, or the machine has slept: timers run by the time that
// has passed, and would fire late.
type clockWatch struct {
	reader client.Reader
	clock  clock.WithTicker
	woken  chan event.GenericEvent
}

func newClockWatch(reader client.Reader, ticking clock.WithTicker) *clockWatch {
	return &clockWatch{reader: reader, clock: ticking, woken: make(chan event.GenericEvent)}
}

// Start implements manager.Runnable.
func (w *clockWatch) Start(ctx context.Context) error {
	ticker := w.clock.NewTicker(clockInterval)
	defer ticker.Stop()
	last := w.clock.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C():
		}
		now := w.clock.Now()
		if jumped(last, now) {
			if err := w.wake(ctx); err != nil {
				return err
			}
		}
		last = now
	}
}

// jumped reports whether the wall clock and the monotonic clock disagree on the time between two readings.
func jumped(before, after time.Time) bool {
	passed := after.Sub(before)
	shown := after.Round(0).Sub(before.Round(0)) // without the monotonic readings
	return (shown - passed).Abs() > clockTolerance
}

func (w *clockWatch) wake(ctx context.Context) error {
	var list v1alpha1.SpiderScheduleList
	if err := w.reader.List(ctx, &list); err != nil {
		return fmt.Errorf("list the SpiderSchedules after the clock was set: %w", err)
	}
	for i := range list.Items {
		select {
		case <-ctx.Done():
			return nil
		case w.woken <- event.GenericEvent{Object: &list.Items[i]}:
		}
	}
	return nil
}
