// Package upgrade tests that what an earlier version of the custom resources has stored continues to work with the current one:
// on a real kube-apiserver, whose definitions are upgraded with the objects in place, as by `helm upgrade`.
package upgrade

import (
	"os"
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

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	os.Exit(node.Main(m, &cluster, &testNode))
}
