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
	// soon bounds what Kubernetes does quickly: create an object, schedule a Pod, start a container. Many tests share a small
	// machine, on which all of that is slow.
	soon = 2 * time.Minute
	// crawl bounds how long a spider of the demo may take for the whole shop.
	crawl = 5 * time.Minute
	// atOnce bounds how long the REST API may take to show what has happened in Kubernetes.
	atOnce = 10 * time.Second
)
