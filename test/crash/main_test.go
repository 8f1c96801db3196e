package crash

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/scrapethis/spider-operator/test/e2e/harness"
)

var (
	cluster *harness.Cluster
	machine *localCluster
)

const (
	// soon bounds what Kubernetes does quickly, on a small machine with many Pods, also right after one of its components was
	// restarted.
	soon = 90 * time.Second
	// storm bounds the longest jobs here.
	storm = 5 * time.Minute
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	ctx := context.Background()
	var err error
	if machine, err = findLocalCluster(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer machine.forget()
	code := harness.Main(m, &cluster)
	// In any case, leave all components running.
	if err := machine.run(ctx, "up"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	return code
}
