package system

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/go-logr/logr"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"k8s.io/client-go/tools/clientcmd"
	ctrl "sigs.k8s.io/controller-runtime"

	configv1alpha1 "github.com/scrapethis/spider-operator/api/config/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver"
	"github.com/scrapethis/spider-operator/controllers"
	"github.com/scrapethis/spider-operator/hack/internal/fetch"
	"github.com/scrapethis/spider-operator/hack/load/measure"
	"github.com/scrapethis/spider-operator/test/integration/process"
)

// The first arguments that make this program a process of the operator, and that process's name.
const (
	Controller = "operator"
	RESTAPI    = "rest-api"
)

// readyTimeout is how long a process may take until it is ready: it may have 100,000 jobs to read first.
const readyTimeout = 5 * time.Minute

// Serve runs a process of the operator with the defaults of `spider-operator`, and with profiles beside the metrics. Its
// arguments are those that StartServer passes. The limits of a REST API are set so high that they do not matter.
func Serve(ctx context.Context, args []string) error {
	if len(args) != 5 {
		return fmt.Errorf("%s wants a kubeconfig, a setting and two addresses: it is started by the other commands", args[0])
	}
	name, kubeconfig, setting, metrics, listen := args[0], args[1], args[2], args[3], args[4]
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return fmt.Errorf("read the kubeconfig: %w", err)
	}
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	if name == Controller {
		ctrl.SetLogger(logr.FromSlogHandler(log.Handler()))
		options := controllers.DefaultOptions()
		options.MetricsListen, options.Profiling, options.Log = metrics, true, log
		if options.Config.Workers, err = strconv.Atoi(setting); err != nil {
			return fmt.Errorf("read the number of workers: %w", err)
		}
		return controllers.Run(ctx, config, options)
	}
	settings := configv1alpha1.DefaultAPIServer()
	settings.Rate, settings.Burst, settings.NamespaceRate = 1e9, 1e9, 1e9
	settings.FailedAuthentications, settings.MaxStreams = 1e9, 1e9
	settings.MaxUnfinishedJobs, settings.MaxArgumentBytes = 0, 0
	settings.ShutdownDelay.Duration, settings.DrainTimeout.Duration = 0, time.Second
	return apiserver.Run(ctx, config, apiserver.Options{
		Config: settings, Namespaces: []string{setting}, Listen: listen, MetricsListen: metrics, Profiling: true,
	}, log)
}

// Server is a process of the operator that runs.
type Server struct {
	*process.Process
	// URL is where a REST API serves requests.
	URL string
	// metrics is where the process serves metrics and profiles.
	metrics string
}

// StartServer starts a Controller with a number of workers, or a RESTAPI of a namespace, waits until it is ready, and returns how
// long that took.
func (s *System) StartServer(ctx context.Context, name, setting string) (*Server, time.Duration, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, 0, fmt.Errorf("find this program: %w", err)
	}
	listen, err := process.FreeAddress(ctx)
	if err != nil {
		return nil, 0, err
	}
	metrics, err := process.FreeAddress(ctx)
	if err != nil {
		return nil, 0, err
	}
	server := &Server{URL: "http://" + listen, metrics: "http://" + metrics}
	probe := server.URL
	if name == Controller {
		probe = server.metrics
	}
	start := time.Now()
	if server.Process, err = s.run(ctx, name, program, name, s.Kubeconfig, setting, metrics, listen); err != nil {
		return nil, 0, err
	}
	waiting, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		if _, err := fetch.Get(waiting, http.DefaultClient, probe+"/readyz"); err == nil {
			return server, time.Since(start), nil
		}
		if err := errors.Join(server.Failure(), measure.Pause(waiting, 5*time.Millisecond)); err != nil {
			return nil, 0, fmt.Errorf("wait until %s is ready: %w", name, err)
		}
	}
}

// StopServer stops a process. It does nothing if there is none.
func (s *System) StopServer(server *Server) error {
	if server == nil {
		return nil
	}
	s.processes = slices.DeleteFunc(s.processes, func(p *process.Process) bool { return p == server.Process })
	return server.Stop()
}

// What is read of a process: the CPU seconds that it has used, all that was ever allocated on its heap (objects and bytes), and
// what it holds now, in bytes.
const (
	CPU         = "process_cpu_seconds_total"
	Allocations = "go_memstats_mallocs_total"
	Allocated   = "go_memstats_alloc_bytes_total"
	Heap        = "go_memstats_heap_alloc_bytes"
	Resident    = "process_resident_memory_bytes"
)

// Usage reads the process's metrics.
func (s *Server) Usage(ctx context.Context) (measure.Counts, error) {
	all, err := s.series(ctx)
	if err != nil {
		return nil, err
	}
	usage := measure.Counts{}
	for _, name := range []string{CPU, Allocations, Allocated, Heap, Resident} {
		usage[name] = all.sum(name)
	}
	return usage, nil
}

// Collected is the usage just after a garbage collection.
func (s *Server) Collected(ctx context.Context) (measure.Counts, error) {
	for range 2 { // what pools hold survives the first
		if _, err := fetch.Get(ctx, http.DefaultClient, s.metrics+"/debug/pprof/heap?gc=1"); err != nil {
			return nil, err
		}
	}
	return s.Usage(ctx)
}

// Profiled runs a part of a measurement and, if profiles are wanted, writes those of the process: of its CPU time in the part's
// first ten seconds, and of its heap afterwards.
func (s *Server) Profiled(ctx context.Context, settings measure.Settings, name string, part func() error) error {
	if settings.Profiles == "" {
		return part()
	}
	saved := make(chan error, 1)
	go func() { saved <- s.save(ctx, settings, "profile?seconds=10", name+"-cpu.pprof") }()
	if err := errors.Join(part(), <-saved); err != nil {
		return err
	}
	return s.ProfileHeap(ctx, settings, name)
}

// ProfileHeap writes a profile of the process's heap, if profiles are wanted.
func (s *Server) ProfileHeap(ctx context.Context, settings measure.Settings, name string) error {
	if settings.Profiles == "" {
		return nil
	}
	return s.save(ctx, settings, "heap?gc=1", name+"-heap.pprof")
}

func (s *Server) save(ctx context.Context, settings measure.Settings, what, file string) error {
	content, err := fetch.Get(ctx, http.DefaultClient, s.metrics+"/debug/pprof/"+what)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(settings.Profiles, 0o750); err != nil {
		return fmt.Errorf("make a directory for profiles: %w", err)
	}
	if err := os.WriteFile(filepath.Join(settings.Profiles, file), content, 0o600); err != nil {
		return fmt.Errorf("write a profile: %w", err)
	}
	return nil
}

// series are the metrics of a process, by name.
type series map[string]*dto.MetricFamily

func (s *Server) series(ctx context.Context) (series, error) {
	text, err := fetch.Get(ctx, http.DefaultClient, s.metrics+"/metrics")
	if err != nil {
		return nil, err
	}
	return parseSeries(text)
}

func parseSeries(text []byte) (series, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	return families, nil
}

// sum adds up all series of a counter or gauge.
func (s series) sum(name string) float64 {
	total := 0.0
	s.each(name, func(_ map[string]string, value float64) { total += value })
	return total
}

// each calls f with the labels and the value of each series of a counter or gauge.
func (s series) each(name string, f func(labels map[string]string, value float64)) {
	for _, one := range s[name].GetMetric() {
		labels := map[string]string{}
		for _, label := range one.GetLabel() {
			labels[label.GetName()] = label.GetValue()
		}
		f(labels, one.GetCounter().GetValue()+one.GetGauge().GetValue())
	}
}
