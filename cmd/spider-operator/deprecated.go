package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	configv1alpha1 "github.com/scrapethis/spider-operator/api/config/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver"
	"github.com/scrapethis/spider-operator/controllers"
)

// addDeprecatedControllerFlags adds the flags that the controller had before it had a configuration file. They work for one
// release.
func addDeprecatedControllerFlags(flags *pflag.FlagSet, opts *controllers.Options, process *process) {
	config := &opts.Config
	flags.StringSliceVar(&opts.Namespaces, "watch-namespaces", nil, "")
	flags.Var(nowhere(&opts.MetricsListen), "metrics-bind-address", "")
	flags.Var(nowhere(&opts.ProbesListen), "health-probe-bind-address", "")
	flags.IntVar(&config.Workers, "workers", config.Workers, "")
	election := &config.LeaderElection
	flags.DurationVar(&election.LeaseDuration.Duration, "leader-elect-lease-duration", election.LeaseDuration.Duration, "")
	flags.DurationVar(&election.RenewDeadline.Duration, "leader-elect-renew-deadline", election.RenewDeadline.Duration, "")
	flags.DurationVar(&election.RetryPeriod.Duration, "leader-elect-retry-period", election.RetryPeriod.Duration, "")
	flags.StringVar(&config.SpiderImage, "spider-image", "", "")
	flags.DurationVar(&config.DefaultGracePeriod.Duration, "default-grace-period", config.DefaultGracePeriod.Duration, "")
	flags.DurationVar(&config.PodRetention.Duration, "pod-retention", config.PodRetention.Duration, "")
	flags.DurationVar(&config.TTL.Duration, "ttl", config.TTL.Duration, "")
	flags.Int32Var(&config.MaxInterruptions, "max-interruptions", config.MaxInterruptions, "")
	flags.DurationVar(&config.ImagePatience.Duration, "image-patience", config.ImagePatience.Duration, "")
	flags.DurationVar(&config.LogInterval.Duration, "log-interval", config.LogInterval.Duration, "")
	flags.Float64Var(&config.LogBudget, "log-budget", config.LogBudget, "")
	addPodFlags(flags, &config.SpiderPods)

	flags.Var(parsed(&process.logLevel, zapLevel, plain), "zap-log-level", "")
	flags.Var(parsed(&process.logFormat, zapEncoder, plain), "zap-encoder", "")
	flags.Var(parsed(new(string), zapDevelopment(process), plain), "zap-devel", "")
	flags.Lookup("zap-devel").NoOptDefVal = "true"
	flags.String("zap-stacktrace-level", "", "") // which has no effect, nor has the next
	flags.String("zap-time-encoding", "", "")
	deprecate(flags, map[string]string{
		"watch-namespaces":            "--namespaces",
		"metrics-bind-address":        "--metrics-listen",
		"health-probe-bind-address":   "--metrics-listen",
		"workers":                     "workers of --config",
		"leader-elect-lease-duration": "leaderElection.leaseDuration of --config",
		"leader-elect-renew-deadline": "leaderElection.renewDeadline of --config",
		"leader-elect-retry-period":   "leaderElection.retryPeriod of --config",
		"spider-image":                "spiderImage of --config",
		"default-grace-period":        "defaultGracePeriod of --config",
		"pod-retention":               "podRetention of --config",
		"ttl":                         "ttl of --config",
		"max-interruptions":           "maxInterruptions of --config",
		"image-patience":              "imagePatience of --config",
		"log-interval":                "logInterval of --config",
		"log-budget":                  "logBudget of --config",
		"spider-pod-security":         "spiderPods.security of --config",
		"spider-pull-secrets":         "spiderPods.imagePullSecrets of --config",
		"spider-node-selector":        "spiderPods.nodeSelector of --config",
		"spider-tolerations":          "spiderPods.tolerations of --config",
		"spider-labels":               "spiderPods.labels of --config",
		"spider-tmp-size":             "spiderPods.tmpSize of --config",
		"zap-log-level":               "--log-level",
		"zap-encoder":                 "--log-format",
		"zap-devel":                   "--log-level=debug --log-format=text",
		"zap-stacktrace-level":        "nothing: it has no effect any more",
		"zap-time-encoding":           "nothing: it has no effect any more",
	})
}

// addDeprecatedAPIServerFlags adds the flags that the REST API had before it had a configuration file. They work for one release.
func addDeprecatedAPIServerFlags(flags *pflag.FlagSet, options *apiserver.Options) {
	config := &options.Config
	flags.Float64Var(&config.Rate, "rate", config.Rate, "")
	flags.IntVar(&config.Burst, "burst", config.Burst, "")
	flags.Float64Var(&config.NamespaceRate, "namespace-rate", config.NamespaceRate, "")
	flags.IntVar(&config.FailedAuthentications, "failed-authentications", config.FailedAuthentications, "")
	flags.IntVar(&config.MaxStreams, "max-streams", config.MaxStreams, "")
	flags.IntVar(&config.MaxUnfinishedJobs, "max-unfinished-jobs", config.MaxUnfinishedJobs, "")
	flags.Int64Var(&config.MaxArgumentBytes, "max-argument-bytes", config.MaxArgumentBytes, "")
	flags.DurationVar(&config.Timeouts.Header.Duration, "header-timeout", config.Timeouts.Header.Duration, "")
	flags.DurationVar(&config.Timeouts.Read.Duration, "read-timeout", config.Timeouts.Read.Duration, "")
	flags.DurationVar(&config.Timeouts.Write.Duration, "write-timeout", config.Timeouts.Write.Duration, "")
	flags.DurationVar(&config.Timeouts.Idle.Duration, "idle-timeout", config.Timeouts.Idle.Duration, "")
	flags.IntVar(&config.MaxConnections, "max-connections", config.MaxConnections, "")
	flags.IntVar(&config.MaxConnectionsPerAddress, "max-connections-per-address", config.MaxConnectionsPerAddress, "")
	flags.StringSliceVar(&config.TrustedProxies, "trusted-proxies", nil, "")
	flags.DurationVar(&config.ShutdownDelay.Duration, "shutdown-delay", config.ShutdownDelay.Duration, "")
	flags.DurationVar(&config.DrainTimeout.Duration, "drain-timeout", config.DrainTimeout.Duration, "")
	deprecate(flags, map[string]string{
		"rate":                        "rate of --config",
		"burst":                       "burst of --config",
		"namespace-rate":              "namespaceRate of --config",
		"failed-authentications":      "failedAuthentications of --config",
		"max-streams":                 "maxStreams of --config",
		"max-unfinished-jobs":         "maxUnfinishedJobs of --config",
		"max-argument-bytes":          "maxArgumentBytes of --config",
		"header-timeout":              "timeouts.header of --config",
		"read-timeout":                "timeouts.read of --config",
		"write-timeout":               "timeouts.write of --config",
		"idle-timeout":                "timeouts.idle of --config",
		"max-connections":             "maxConnections of --config",
		"max-connections-per-address": "maxConnectionsPerAddress of --config",
		"trusted-proxies":             "trustedProxies of --config",
		"shutdown-delay":              "shutdownDelay of --config",
		"drain-timeout":               "drainTimeout of --config",
	})
}

// addPodFlags adds the flags for all spiders' Pods. The values are validated with the rest of the configuration.
func addPodFlags(flags *pflag.FlagSet, pods *configv1alpha1.SpiderPods) {
	flags.Var(parsed(&pods.Security, parsePodSecurity, func(s configv1alpha1.PodSecurity) string { return string(s) }),
		"spider-pod-security", "")
	flags.Var(parsed(&pods.ImagePullSecrets, parseNames, formatNames), "spider-pull-secrets", "")
	flags.Var(parsed(&pods.NodeSelector, parsePairs, formatPairs), "spider-node-selector", "")
	flags.Var(parsed(&pods.Tolerations, parseTolerations, formatTolerations), "spider-tolerations", "")
	flags.Var(parsed(&pods.Labels, parsePairs, formatPairs), "spider-labels", "")
	flags.Var(parsed(&pods.TmpSize, parseSize, func(size resource.Quantity) string { return size.String() }), "spider-tmp-size", "")
}

// parsedValue is a flag with a text form of its own. It implements pflag.Value.
type parsedValue[T any] struct {
	value  *T
	parse  func(string) (T, error)
	format func(T) string
}

func parsed[T any](value *T, parse func(string) (T, error), format func(T) string) *parsedValue[T] {
	return &parsedValue[T]{value, parse, format}
}

// Set reads the flag. pflag names it in front of the error.
func (v *parsedValue[T]) Set(text string) error {
	value, err := v.parse(text)
	if err == nil {
		*v.value = value
	}
	return err
}

// String returns the text that Set reads.
func (v *parsedValue[T]) String() string { return v.format(*v.value) }

// Type is the kind of value that help shows.
func (v *parsedValue[T]) Type() string { return "string" }

func plain(text string) string { return text }

// nowhere is an address that is "0" for none, as controller-runtime has it.
func nowhere(address *string) *parsedValue[string] {
	return parsed(address, func(text string) (string, error) {
		if text == "0" {
			text = ""
		}
		return text, nil
	}, plain)
}

// zapLevel reads a level of zap: a name, or a number above 0, the verbosity.
func zapLevel(text string) (string, error) {
	switch text {
	case "debug", "info", "warn", "error":
		return text, nil
	case "dpanic", "panic", "fatal":
		return "error", nil
	}
	verbosity, err := strconv.ParseUint(text, 10, 7)
	if err != nil || verbosity == 0 {
		return "", errors.New("want debug, info, error, or a verbosity of at least 1")
	}
	return fmt.Sprintf("INFO-%d", verbosity), nil // slog's form of a level; verbosity n is n below info
}

// zapEncoder reads an encoder of zap as a format of log lines.
func zapEncoder(text string) (string, error) {
	switch text {
	case "json":
		return "json", nil
	case "console", "text": // "text" is what the flag itself shows
		return "text", nil
	}
	return "", errors.New("want json or console")
}

// zapDevelopment sets the level and the format that zap's development mode had.
func zapDevelopment(process *process) func(string) (string, error) {
	return func(text string) (string, error) {
		on, err := strconv.ParseBool(text)
		if on {
			process.logLevel, process.logFormat = "debug", "text"
		}
		return text, err
	}
}

func parsePodSecurity(text string) (configv1alpha1.PodSecurity, error) {
	return configv1alpha1.PodSecurity(text), nil
}

func parseNames(text string) ([]corev1.LocalObjectReference, error) {
	if text == "" {
		return nil, nil
	}
	var secrets []corev1.LocalObjectReference
	for name := range strings.SplitSeq(text, ",") {
		secrets = append(secrets, corev1.LocalObjectReference{Name: name})
	}
	return secrets, nil
}

func formatNames(secrets []corev1.LocalObjectReference) string {
	names := make([]string, 0, len(secrets))
	for _, secret := range secrets {
		names = append(names, secret.Name)
	}
	return strings.Join(names, ",")
}

func parsePairs(text string) (map[string]string, error) {
	if text == "" {
		return nil, nil
	}
	pairs := map[string]string{}
	for pair := range strings.SplitSeq(text, ",") {
		name, value, isPair := strings.Cut(pair, "=")
		if !isPair {
			return nil, fmt.Errorf("%q must be name=value", pair)
		}
		if _, known := pairs[name]; known {
			return nil, fmt.Errorf("%s is given twice", name)
		}
		pairs[name] = value
	}
	return pairs, nil
}

func formatPairs(pairs map[string]string) string {
	texts := make([]string, 0, len(pairs))
	for _, name := range slices.Sorted(maps.Keys(pairs)) {
		texts = append(texts, name+"="+pairs[name])
	}
	return strings.Join(texts, ",")
}

func parseTolerations(text string) ([]corev1.Toleration, error) {
	if text == "" {
		return nil, nil
	}
	var tolerations []corev1.Toleration
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&tolerations); err != nil {
		return nil, fmt.Errorf("must be a JSON list of a Pod's tolerations: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("must be one JSON list of a Pod's tolerations, with nothing behind it")
	}
	return tolerations, nil
}

func formatTolerations(tolerations []corev1.Toleration) string {
	if len(tolerations) == 0 {
		return ""
	}
	text, err := json.Marshal(tolerations)
	if err != nil { // Nothing that a toleration holds can fail.
		return err.Error()
	}
	return string(text)
}

func parseSize(text string) (resource.Quantity, error) {
	size, err := resource.ParseQuantity(text)
	if err != nil {
		return resource.Quantity{}, fmt.Errorf("must be an amount of bytes, such as 10Gi: %w", err)
	}
	return size, nil
}
