package main

import (
	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/spf13/cobra"

	configv1alpha1 "github.com/scrapethis/spider-operator/api/config/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers"
)

func newControllerCommand() *cobra.Command {
	opts := controllers.DefaultOptions()
	process := process{}
	cmd := &cobra.Command{
		Use:   "controller",
		Short: "Run the controller, which runs SpiderJobs as Kubernetes Jobs",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := process.newLogger()
			if err != nil {
				return err
			}
			opts.Log = log
			if err := readController(cmd.Flags(), process.config, &opts.Config); err != nil {
				return err
			}
			warnOfDeprecated(cmd.Flags(), log)
			limitMemory(cmd.Context(), memlimit.FromCgroup, log)
			config, err := restConfig(process.kubeconfig, "")
			if err != nil {
				return err
			}
			return controllers.Run(cmd.Context(), config, opts)
		},
	}
	flags := cmd.Flags()
	process.addFlags(flags, &opts.Namespaces, &opts.MetricsListen, &opts.Profiling)
	flags.BoolVar(&opts.LeaderElection, "leader-elect", false, "elect a leader: required for more than one replica")
	flags.StringVar(
		&opts.LeaderElectionNamespace, "leader-elect-namespace", "", "namespace of the leader's Lease; default: the Pod's",
	)
	flags.StringVar(&opts.Lease, "leader-elect-lease", opts.Lease,
		"name of the leader's Lease; each release in a namespace needs its own")
	addDeprecatedControllerFlags(flags, &opts, &process)
	return cmd
}

// readController reads a controller's file under the flags, and checks the whole.
func readController(flags flagSet, file string, config *configv1alpha1.ControllerConfiguration) error {
	read := func(text []byte) error { return configv1alpha1.DecodeController(text, config) }
	if err := underFlags(flags, file, read); err != nil {
		return err
	}
	return refuse(file, config.Validate())
}
