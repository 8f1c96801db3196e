package main

import (
	"fmt"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/spf13/cobra"

	configv1alpha1 "github.com/scrapethis/spider-operator/api/config/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver"
)

func newAPIServerCommand() *cobra.Command {
	options := apiserver.Options{Config: configv1alpha1.DefaultAPIServer()}
	process := process{}
	cmd := &cobra.Command{
		Use:   "apiserver",
		Short: "Run the REST API",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := process.newLogger()
			if err != nil {
				return err
			}
			if err := readAPIServer(cmd.Flags(), process.config, &options.Config); err != nil {
				return err
			}
			warnOfDeprecated(cmd.Flags(), log)
			limitMemory(cmd.Context(), memlimit.FromCgroup, log)
			config, err := restConfig(process.kubeconfig, "")
			if err != nil {
				return err
			}
			config.UserAgent = "spider-operator-apiserver/" + version
			return apiserver.Run(cmd.Context(), config, options, log)
		},
	}
	flags := cmd.Flags()
	process.addFlags(flags, &options.Namespaces, &options.MetricsListen, &options.Profiling)
	flags.StringVar(&options.Listen, "listen", ":8080", "address of the REST API")
	flags.StringVar(&options.TLS.CertFile, "tls-cert-file", "",
		"PEM file with the API's certificate, read again when it changes; default: no TLS")
	flags.StringVar(&options.TLS.KeyFile, "tls-key-file", "", "PEM file with the certificate's key")
	flags.BoolVar(&options.KubernetesTokens.Enabled, "kubernetes-tokens", false,
		"accept tokens of service accounts as well as API keys; requires the right to create TokenReviews and SubjectAccessReviews")
	flags.StringVar(&options.KubernetesTokens.Audience, "kubernetes-token-audience", apiserver.DefaultTokenAudience,
		"audience that tokens must be issued for")
	flags.Var((*onOff)(&options.SpidersReadOnly), "rest-spiders",
		"on: callers may create, change and delete Spiders, whose settings are code; off: they may only run existing ones")
	addDeprecatedAPIServerFlags(flags, &options)
	return cmd
}

// readAPIServer reads a REST API's file under the flags, and checks the whole.
func readAPIServer(flags flagSet, file string, config *configv1alpha1.APIServerConfiguration) error {
	read := func(text []byte) error { return configv1alpha1.DecodeAPIServer(text, config) }
	if err := underFlags(flags, file, read); err != nil {
		return err
	}
	return refuse(file, config.Validate())
}

// onOff is a flag that is on or off, and holds whether it is off.
type onOff bool

// String implements pflag.Value.
func (o *onOff) String() string {
	if *o {
		return "off"
	}
	return "on"
}

// Set implements pflag.Value.
func (o *onOff) Set(text string) error {
	if text != "on" && text != "off" {
		return fmt.Errorf("%q is neither on nor off", text)
	}
	*o = text == "off"
	return nil
}

// Type implements pflag.Value.
func (*onOff) Type() string { return "on|off" }
