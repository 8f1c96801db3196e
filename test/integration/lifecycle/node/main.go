package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/scrapethis/spider-operator/test/integration/controlplane"
)

// Main runs a package's tests on a control plane with one node, which it stores in *cluster and *n and stops afterwards, and
// returns the exit code.
func Main(m *testing.M, cluster **controlplane.ControlPlane, n **Node) int {
	code, err := runTests(m, cluster, n)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	return code
}

// runTests stops the node first: kube-apiserver would wait for the end of the node's watches.
func runTests(m *testing.M, cluster **controlplane.ControlPlane, n **Node) (code int, err error) {
	if *cluster, err = controlplane.Start(context.Background()); err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, (*cluster).Stop()) }()
	if *n, err = Start((*cluster).Config, "gopher"); err != nil {
		return 1, err
	}
	code = m.Run()
	(*n).Stop()
	return code, nil
}
