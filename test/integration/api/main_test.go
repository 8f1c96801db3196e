// Package api tests the custom resources against a real kube-apiserver: what it accepts, what it refuses with which message,
// and how they look in kubectl.
package api

import (
	"os"
	"testing"

	"github.com/scrapethis/spider-operator/test/integration/controlplane"
)

var cluster *controlplane.ControlPlane

func TestMain(m *testing.M) { os.Exit(controlplane.Main(m, &cluster)) }
