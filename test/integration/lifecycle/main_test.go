// Package lifecycle tests the controller on a real kube-apiserver with the real Job controller: whole lives of SpiderJobs, what
// they cost, and that they end the same wherever the controller dies. There is no kubelet; package node acts as one.
//
// In every test the stage continuously checks what must always hold (history_test.go).
package lifecycle

import (
	"flag"
	"os"
	"strconv"
	"testing"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/scrapethis/spider-operator/test/integration/controlplane"
	"github.com/scrapethis/spider-operator/test/integration/lifecycle/node"
)

var (
	cluster  *controlplane.ControlPlane
	testNode *node.Node
)

// lives is how many tests run at once, unless -parallel says otherwise: they wait more than they work.
const lives = 12

func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", strconv.Itoa(lives)); err != nil {
		panic(err)
	}
	flag.Parse()
	ctrl.SetLogger(logr.Discard()) // each replica has its own log
	os.Exit(node.Main(m, &cluster, &testNode))
}
