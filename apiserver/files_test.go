package apiserver

import (
	"testing"

	configv1alpha1 "github.com/scrapethis/spider-operator/api/config/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/guard"
)

func TestConnectionsLeaveFilesForTheRest(t *testing.T) {
	for _, test := range []struct{ wanted, files, want int }{
		{0, 1 << 20, guard.DefaultMaxConnections},
		{100, 1 << 20, 100},
		{50_000, 1 << 20, 50_000},
		{0, 4096, 4096 - filesBesides},
		{100, 1024, 100},
		{1000, 1024, 1024 - filesBesides},
		{0, 256, 1},
		{0, 0, 1},
	} {
		if got := fitConnections(test.wanted, test.files); got != test.want {
			t.Errorf("of %d connections wanted, with %d files, there may be %d, want %d", test.wanted, test.files, got, test.want)
		}
	}
}

// What the guard takes where it is told nothing is what the configuration says by default.
func TestTheGuardsDefaultsAreTheConfigurations(t *testing.T) {
	config := configv1alpha1.DefaultAPIServer()
	if config.MaxConnections != guard.DefaultMaxConnections ||
		config.MaxConnectionsPerAddress != guard.DefaultMaxConnectionsPerAddress ||
		timeouts(&config) != guard.DefaultTimeouts {
		t.Errorf("the configuration has %+v", config)
	}
}
