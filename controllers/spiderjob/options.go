package spiderjob

import (
	configv1alpha1 "github.com/scrapethis/spider-operator/api/config/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/podlog"
)

// Options are the settings of the SpiderJob controller.
type Options struct {
	// Defaults apply to what Spiders do not set.
	Defaults Defaults
	// Logs bounds the reading of spiders' logs.
	Logs podlog.Options
	// Namespaces are the namespaces to serve, all of them when empty.
	Namespaces []string
	// Workers is how many SpiderJobs are reconciled at once, which also bounds the concurrent writes.
	Workers int
}

// NewOptions takes the settings out of the process's configuration.
func NewOptions(config *configv1alpha1.ControllerConfiguration, namespaces []string) Options {
	return Options{
		Defaults: Defaults{
			SpiderImage:      config.SpiderImage,
			GracePeriod:      config.DefaultGracePeriod.Duration,
			PodRetention:     config.PodRetention.Duration,
			TTL:              config.TTL.Duration,
			MaxInterruptions: config.MaxInterruptions,
			ImagePatience:    config.ImagePatience.Duration,
			Pods:             PodDefaults(config.SpiderPods),
		},
		Logs:       podlog.Options{Interval: config.LogInterval.Duration, Budget: config.LogBudget},
		Namespaces: namespaces,
		Workers:    config.Workers,
	}
}
