// Package api tests the custom resources against a real kube-apiserver: what it accepts, what it refuses and in what words,
// and how they look to kubectl.
package api

import (
	"os"
	"testing"

	"github.com/scrapethis/spider-operator/test/integration/controlplane"
)

var cluster *controlplane.ControlPlane

func TestMain(m *testing.M) { os.Exit(controlplane.Main(m, &cluster)) }
