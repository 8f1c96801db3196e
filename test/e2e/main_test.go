package e2e

import (
	"os"
	"testing"
	"time"

	"github.com/scrapethis/spider-operator/test/e2e/harness"
)

var cluster *harness.Cluster

func TestMain(m *testing.M) { os.Exit(harness.Main(m, &cluster)) }

const (
	// soon is the time in which Kubernetes does what takes it a moment: makes an object, schedules a Pod, starts a container.
	// Many tests share a small machine, on which all of that is slow.
	soon = 2 * time.Minute
	// crawl is the time that a spider of the demo may take for all of the shop.
	crawl = 5 * time.Minute
	// atOnce is the time in which the API shows what has happened in Kubernetes.
	atOnce = 10 * time.Second
)
