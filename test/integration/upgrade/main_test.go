// Package upgrade tests that what an earlier version of the custom resources has stored goes on to work with today's: on a real
// kube-apiserver, whose definitions are upgraded with the objects in place, as by `helm upgrade`.
package upgrade

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/scrapethis/spider-operator/test/integration/controlplane"
	"github.com/scrapethis/spider-operator/test/integration/lifecycle/node"
)

var (
	cluster *controlplane.ControlPlane
	gopher  *node.Node
)

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	code, err := runTests(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// runTests runs the tests on a control plane with one node. The node is stopped first: kube-apiserver would wait for the end
// of the node's watches.
func runTests(m *testing.M) (code int, err error) {
	if cluster, err = controlplane.Start(context.Background()); err != nil {
		return 1, err
	}
	if gopher, err = node.Start(cluster.Config, "gopher"); err == nil {
		code = m.Run()
		gopher.Stop()
	}
	if stopErr := cluster.Stop(); err == nil {
		err = stopErr
	}
	return code, err
}
