package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// reading is what the processes have used, and asked for, up to a moment.
type reading struct {
	// at is the moment.
	at time.Time
	// busy is the CPU time of the whole machine, cpu that of each process that is measured.
	busy time.Duration
	cpu  map[string]time.Duration
	// writes counts the writes that kube-apiserver was asked for, of all its clients, by verb and resource.
	writes map[string]float64
	// refusedPods counts the Pods that it was asked to create and would not, for quota or by admission.
	refusedPods float64
	// reconciles is how often the operator's controller has reconciled, operatorWrites and operatorReads what it has asked
	// kube-apiserver for, and operatorRefused how much of that was refused, such as conflicting writes.
	reconciles, operatorWrites, operatorReads, operatorRefused float64
}

// leases is the key of writes that are not of the jobs.
const leases = "PUT leases"

// pids are the processes that are measured. The operator and the benchmark run the same program.
func (s *system) pids() (map[string]int, error) {
	pids, err := children()
	if err != nil {
		return nil, err
	}
	measured := map[string]int{"bench": os.Getpid()}
	for _, name := range []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok"} {
		pid, ok := pids[name]
		if !ok {
			return nil, fmt.Errorf("find the process of %s: it does not run", name)
		}
		measured[name] = pid
	}
	if s.operator != nil {
		measured[operatorCommand] = s.operator.PID()
	}
	return measured, nil
}

// read reads all meters.
func (s *system) read(ctx context.Context) (reading, error) {
	r := reading{at: time.Now(), cpu: map[string]time.Duration{}, writes: map[string]float64{}}
	pids, err := s.pids()
	if err != nil {
		return r, err
	}
	if r.busy, err = busyTime(); err != nil {
		return r, err
	}
	for name, pid := range pids {
		if r.cpu[name], err = cpuTime(pid); err != nil {
			return r, err
		}
	}
	content, err := s.server.Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return r, fmt.Errorf("read kube-apiserver's metrics: %w", err)
	}
	err = each(bytes.NewReader(content), "apiserver_request_total", func(labels map[string]string, value float64) {
		verb := labels["verb"]
		switch verb {
		case "POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION":
		default:
			return
		}
		resource := labels["resource"]
		if labels["subresource"] != "" {
			resource += "/" + labels["subresource"]
		}
		r.writes[verb+" "+resource] += value
		if verb == http.MethodPost && resource == "pods" && labels["code"] == strconv.Itoa(http.StatusForbidden) {
			r.refusedPods += value
		}
	})
	if err != nil {
		return r, err
	}
	if s.operator == nil {
		return r, nil
	}
	if content, err = s.ask(ctx, http.MethodGet, "/metrics"); err != nil {
		return r, err
	}
	err = each(bytes.NewReader(content), "controller_runtime_reconcile_total", func(_ map[string]string, value float64) {
		r.reconciles += value
	})
	if err != nil {
		return r, err
	}
	return r, each(bytes.NewReader(content), "rest_client_requests_total", func(labels map[string]string, value float64) {
		if labels["method"] == http.MethodGet {
			r.operatorReads += value
		} else {
			r.operatorWrites += value
		}
		if labels["code"] >= "400" {
			r.operatorRefused += value
		}
	})
}

// since is what was used between two readings, of which this is the later one.
func (r reading) since(earlier reading) reading {
	d := reading{
		at: r.at, busy: r.busy - earlier.busy,
		cpu: map[string]time.Duration{}, writes: map[string]float64{},
		refusedPods:     r.refusedPods - earlier.refusedPods,
		reconciles:      r.reconciles - earlier.reconciles,
		operatorWrites:  r.operatorWrites - earlier.operatorWrites,
		operatorReads:   r.operatorReads - earlier.operatorReads,
		operatorRefused: r.operatorRefused - earlier.operatorRefused,
	}
	for name, value := range r.cpu {
		d.cpu[name] = value - earlier.cpu[name]
	}
	for name, value := range r.writes {
		if value > earlier.writes[name] {
			d.writes[name] = value - earlier.writes[name]
		}
	}
	return d
}

// others is the CPU time of the machine that none of the measured processes has used.
func (r reading) others() time.Duration {
	others := r.busy
	for _, value := range r.cpu {
		others -= value
	}
	return max(others, 0)
}

// each calls f with the labels and the value of each series of a counter or gauge in Prometheus' text format.
func each(text io.Reader, metric string, f func(labels map[string]string, value float64)) error {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(text)
	if err != nil {
		return fmt.Errorf("read metrics: %w", err)
	}
	for _, series := range families[metric].GetMetric() {
		labels := map[string]string{}
		for _, label := range series.GetLabel() {
			labels[label.GetName()] = label.GetValue()
		}
		f(labels, series.GetCounter().GetValue()+series.GetGauge().GetValue())
	}
	return nil
}
