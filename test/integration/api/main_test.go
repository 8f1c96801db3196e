package api

import (
	"os"
	"testing"

	"github.com/scrapethis/spider-operator/test/integration/controlplane"
)

var cluster *controlplane.ControlPlane

func TestMain(m *testing.M) { os.Exit(controlplane.Main(m, &cluster)) }
