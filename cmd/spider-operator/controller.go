package main

import (
	"flag"
	"log/slog"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"github.com/scrapethis/spider-operator/controllers"
)

func newControllerCommand() *cobra.Command {
	opts := controllers.DefaultOptions()
	var kubeconfig string
	zapOptions := zap.Options{}
	cmd := &cobra.Command{
		Use:   "controller",
		Short: "Run the controller that brings SpiderJobs to their end",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			opts.Log = zap.New(zap.UseFlagOptions(&zapOptions))
			ctrl.SetLogger(opts.Log)
			limitMemory(cmd.Context(), memlimit.FromCgroup, slog.New(logr.ToSlogHandler(opts.Log)))
			config, err := restConfig(kubeconfig, "")
			if err != nil {
				return err
			}
			return controllers.Run(cmd.Context(), config, opts)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&kubeconfig, "kubeconfig", "", "kubeconfig file; default: $KUBECONFIG, else the Pod's own service account")
	flags.StringSliceVar(&opts.SpiderJobs.Namespaces, "watch-namespaces", nil, "namespaces to serve; default: all")
	flags.IntVar(&opts.SpiderJobs.Workers, "workers", opts.SpiderJobs.Workers, "SpiderJobs reconciled at once")
	flags.StringVar(&opts.MetricsAddress, "metrics-bind-address", opts.MetricsAddress, "where metrics are served; 0 for nowhere")
	flags.StringVar(&opts.ProbeAddress, "health-probe-bind-address", opts.ProbeAddress, "where /healthz and /readyz are served; 0 for nowhere")
	flags.BoolVar(&opts.LeaderElection, "leader-elect", false, "elect a leader, so that several replicas may run")
	flags.StringVar(&opts.LeaderElectionNamespace, "leader-elect-namespace", "", "namespace of the leader's Lease; default: the Pod's own")
	flags.StringVar(&opts.Lease, "leader-elect-lease", opts.Lease,
		"name of the leader's Lease: each release in a namespace needs its own")
	flags.DurationVar(&opts.LeaseDuration, "leader-elect-lease-duration", opts.LeaseDuration, "how long a silent leader is believed to lead")
	flags.DurationVar(&opts.RenewDeadline, "leader-elect-renew-deadline", opts.RenewDeadline,
		"how long a leader tries to renew its lease before it gives up")
	flags.DurationVar(&opts.RetryPeriod, "leader-elect-retry-period", opts.RetryPeriod,
		"time between two tries to get or renew the "+resourcelock.LeasesResourceLock+" lock")
	flags.StringVar(&opts.SpiderJobs.Defaults.SpiderImage, "spider-image", "", "image of Spiders that name none")
	flags.DurationVar(&opts.SpiderJobs.Defaults.GracePeriod, "default-grace-period", opts.SpiderJobs.Defaults.GracePeriod,
		"how long a stopped spider has to close, unless its Spider says otherwise")
	flags.DurationVar(&opts.SpiderJobs.Defaults.PodRetention, "pod-retention", opts.SpiderJobs.Defaults.PodRetention,
		"how long Job, Pod and log are kept after the end, unless the Spider says otherwise")
	flags.DurationVar(&opts.SpiderJobs.Defaults.TTL, "ttl", opts.SpiderJobs.Defaults.TTL,
		"how long a SpiderJob is kept after its end, unless it or its Spider says otherwise")
	flags.Int32Var(&opts.SpiderJobs.Defaults.MaxInterruptions, "max-interruptions", opts.SpiderJobs.Defaults.MaxInterruptions,
		"interruptions that are followed by a new attempt, unless the Spider says otherwise")
	flags.DurationVar(&opts.SpiderJobs.Defaults.ImagePatience, "image-patience", opts.SpiderJobs.Defaults.ImagePatience,
		"how long an image may fail to be pulled, or a container to be made, before that is an error")
	addPodFlags(cmd, &opts.SpiderJobs.Defaults.Pods)
	flags.DurationVar(&opts.SpiderJobs.Logs.Interval, "log-interval", opts.SpiderJobs.Logs.Interval, "shortest time between two reads of a running spider's log")
	flags.Float64Var(&opts.SpiderJobs.Logs.Budget, "log-budget", opts.SpiderJobs.Logs.Budget,
		"most log reads of running spiders per second; with more spiders than this times the interval, each is read less often")
	logging := flag.NewFlagSet("", flag.ContinueOnError)
	zapOptions.BindFlags(logging)
	flags.AddGoFlagSet(logging)
	return cmd
}
