// Package restapi tests the REST API against a real kube-apiserver, with no more rights than its own role grants.
package restapi

import (
	"os"
	"testing"

	"github.com/scrapethis/spider-operator/test/integration/controlplane"
)

var cluster *controlplane.ControlPlane

func TestMain(m *testing.M) { os.Exit(controlplane.Main(m, &cluster)) }
