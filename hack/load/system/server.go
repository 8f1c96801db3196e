package system

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/scrapethis/spider-operator/hack/internal/fetch"
	"github.com/scrapethis/spider-operator/hack/load/measure"
	"github.com/scrapethis/spider-operator/test/integration/process"
)

// The commands of spider-operator that are measured, and the names of their processes.
const (
	Controller = "controller"
	RESTAPI    = "apiserver"
)

// Server is a process of the operator that runs. It serves metrics and profiles at a URL.
type Server struct {
	*process.Process
	metrics string
}

// StartServer starts a command of spider-operator, and returns how long it took until it was ready.
func (s *System) StartServer(ctx context.Context, name string, flags ...string) (*Server, time.Duration, error) {
	address, err := process.FreeAddress(ctx)
	if err != nil {
		return nil, 0, err
	}
	flags = append([]string{name, "--kubeconfig=" + s.Kubeconfig, "--metrics-listen=" + address, "--profiling"}, flags...)
	server := &Server{metrics: "http://" + address}
	start := time.Now()
	if server.Process, err = s.run(ctx, name, s.program(), flags...); err != nil {
		return nil, 0, err
	}
	err = s.Until(ctx, name+" is ready", func(ctx context.Context) (bool, error) {
		_, err := server.get(ctx, "/readyz")
		return err == nil, nil
	})
	return server, time.Since(start), err
}

// StopServer stops a process. It does nothing if there is none.
func (s *System) StopServer(server *Server) error {
	if server == nil {
		return nil
	}
	s.processes = slices.DeleteFunc(s.processes, func(p *process.Process) bool { return p == server.Process })
	return server.Stop()
}

func (s *Server) get(ctx context.Context, path string) ([]byte, error) {
	return fetch.Get(ctx, http.DefaultClient, s.metrics+path)
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
	usage := measure.Counts{}
	for _, name := range []string{CPU, Allocations, Allocated, Heap, Resident} {
		usage[name] = all.sum(name)
	}
	return usage, err
}

// Collected is the usage just after a garbage collection.
func (s *Server) Collected(ctx context.Context) (measure.Counts, error) {
	for range 2 { // what pools hold survives the first
		if _, err := s.get(ctx, "/debug/pprof/heap?gc=1"); err != nil {
			return nil, err
		}
	}
	return s.Usage(ctx)
}

// Profiled runs a part of a measurement and, if profiles are wanted, writes those of the process: of its CPU time in the part's
// first ten seconds, and of its heap afterwards.
func (s *Server) Profiled(ctx context.Context, settings measure.Settings, name string, part func() error) error {
	saved := make(chan error, 1)
	go func() { saved <- s.save(ctx, settings, "profile?seconds=10", name+"-cpu.pprof") }()
	if err := errors.Join(part(), <-saved); err != nil {
		return err
	}
	return s.save(ctx, settings, "heap?gc=1", name+"-heap.pprof")
}

func (s *Server) save(ctx context.Context, settings measure.Settings, what, file string) error {
	if settings.Profiles == "" {
		return nil
	}
	content, err := s.get(ctx, "/debug/pprof/"+what)
	if err != nil {
		return err
	}
	return errors.Join(os.MkdirAll(settings.Profiles, 0o750), os.WriteFile(filepath.Join(settings.Profiles, file), content, 0o600))
}

// series are the metrics of a process, by name.
type series map[string]*dto.MetricFamily

func (s *Server) series(ctx context.Context) (series, error) {
	text, err := s.get(ctx, "/metrics")
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
