// Package facade tests the REST facade against a real kube-apiserver, with no more rights than its own role grants.
package facade

import (
	"os"
	"testing"

	"github.com/scrapethis/spider-operator/test/integration/controlplane"
)

var cluster *controlplane.ControlPlane

func TestMain(m *testing.M) { os.Exit(controlplane.Main(m, &cluster)) }
