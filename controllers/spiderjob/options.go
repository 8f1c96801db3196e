package spiderjob

import (
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/scrapethis/spider-operator/controllers/spiderjob/podlog"
)

// Options are the settings of the SpiderJob controller.
type Options struct {
	// Defaults are for what Spiders leave open.
	Defaults Defaults
	// Logs bounds the reading of spiders' logs.
	Logs podlog.Options
	// Namespaces are the namespaces to serve, all of them when empty.
	Namespaces []string
	// Workers is how many SpiderJobs are reconciled at once, and so the most writes that are under way.
	Workers int
}

// DefaultOptions returns the settings of a controller that was given none.
func DefaultOptions() Options {
	return Options{
		Defaults: Defaults{
			GracePeriod:      30 * time.Second,
			PodRetention:     time.Hour,
			TTL:              7 * 24 * time.Hour,
			MaxInterruptions: 3,
			ImagePatience:    5 * time.Minute,
			Pods:             PodDefaults{Security: PodSecurityRestricted, TmpSize: resource.MustParse("10Gi")},
		},
		Logs:    podlog.Options{Interval: 10 * time.Second, Budget: 10},
		Workers: 64,
	}
}
