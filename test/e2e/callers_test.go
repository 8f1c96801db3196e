package e2e

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/scrapethis/spider-operator/test/e2e/harness"
)

// callers use the REST API, each repeatedly, until they are stopped.
type callers struct {
	t     *testing.T
	over  chan struct{}
	end   func() // closes over and waits, once
	group sync.WaitGroup
	// calls is the number of calls made, and again the number of those that were repeated.
	calls, again atomic.Int64
}

func newCallers(t *testing.T) *callers {
	c := &callers{t: t, over: make(chan struct{})}
	c.end = sync.OnceFunc(func() { close(c.over); c.group.Wait() })
	t.Cleanup(c.end)
	return c
}

// add adds a caller that makes a call at an interval, and checks each successful answer.
func (c *callers) add(api *harness.API, every time.Duration, call func() harness.Request, show func(*harness.Response)) {
	c.group.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			if answer := c.answer(api, call()); answer != nil {
				show(answer)
			}
			select {
			case <-tick.C:
			case <-c.over:
				return
			}
		}
	})
}

// stop waits until every caller has received its last answer. The test fails if more than one call in two hundred had to be
// repeated.
func (c *callers) stop() {
	c.end()
	const rare = 200
	if calls, again := c.calls.Load(), c.again.Load(); again*rare > calls {
		c.t.Errorf("of %d calls %d had to be made again", calls, again)
	} else {
		c.t.Logf("of %d calls %d had to be made again", calls, again)
	}
}

// answer makes a call as a careful client does: it repeats the call if there was no answer, or one that says when to try again.
// The test fails, and the answer is nil, if that takes long or the answer is another error.
func (c *callers) answer(api *harness.API, call harness.Request) *harness.Response {
	const comeAgain = 100 * time.Millisecond
	for began := time.Now(); ; time.Sleep(comeAgain) {
		c.calls.Add(1)
		answer, err := api.Try(c.t.Context(), call)
		switch {
		case err == nil && answer.Status == http.StatusOK:
			return answer
		case err == nil && (answer.Status != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") == ""):
			c.t.Errorf("%s %s was answered %d %s", call.Method, call.Path, answer.Status, answer.Body)
			return nil
		case c.t.Context().Err() != nil: // the test has failed elsewhere
			return nil
		case time.Since(began) > atOnce:
			c.t.Errorf("%s %s got no answer for %s: %v", call.Method, call.Path, atOnce, err)
			return nil
		}
		c.again.Add(1)
	}
}
