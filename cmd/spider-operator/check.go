package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/scrapethis/spider-operator/apiserver/check"
)

// keyVariable is the environment variable that holds the API key, which a command line would show to others.
const keyVariable = "SPIDER_API_KEY"

func newCheckCommand() *cobra.Command {
	options := check.Options{}
	var certificate string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check a REST API as a caller, up to running a spider",
		Long: "Check a REST API as a caller: its probes; with an API key in $" + keyVariable + ", who the caller is;\n" +
			"and with --spider, a run of that spider to its end.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if certificate != "" {
				text, err := os.ReadFile(certificate)
				if err != nil {
					return fmt.Errorf("reading the certificate: %w", err)
				}
				options.Certificate = text
			}
			options.Key = os.Getenv(keyVariable)
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			return check.Run(ctx, options, cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&options.URL, "url", "", "URL of the REST API, as in https://spiders.example.org")
	flags.StringVar(&options.Spider, "spider", "", "name of a spider to run; default: none")
	flags.StringVar(&certificate, "certificate", "",
		"PEM file with the certificate that the REST API must present; default: any that is valid for the URL")
	flags.DurationVar(&timeout, "timeout", 5*time.Minute, "how long the whole check may take")
	_ = cmd.MarkFlagRequired("url")
	return cmd
}
