package system

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/prometheus/procfs"

	"github.com/scrapethis/spider-operator/hack/load/measure"
)

// Leases is the key of writes that are not caused by jobs.
const Leases = "PUT leases"

// What is counted of the controller: its reconciles, and its requests of kube-apiserver. RefusedPods are the Pods that
// kube-apiserver refused to create, for quota or by admission.
const (
	Reconciles     = "reconciles"
	OperatorWrites = "writes of the operator"
	OperatorReads  = "reads of the operator"
	RefusedPods    = "refused pods"
)

// Reading is what the processes have used and asked for up to a moment.
type Reading struct {
	// At is the moment, and Took the time since an earlier one.
	At   time.Time
	Took time.Duration
	// Busy is the CPU time of the whole machine, CPU that of each process that is measured, both in seconds.
	Busy float64
	CPU  measure.Counts
	// Writes counts the writes that kube-apiserver was asked for by all its clients, by verb and resource.
	Writes measure.Counts
	// Counted is what else was counted, by the names above.
	Counted measure.Counts
}

// Read reads all meters. operator is the controller.
func (s *System) Read(ctx context.Context, operator *Server) (Reading, error) {
	r := Reading{At: time.Now(), CPU: measure.Counts{}, Writes: measure.Counts{}, Counted: measure.Counts{}}
	if err := r.readProcesses(); err != nil {
		return r, err
	}
	content, err := s.kubeAPIServer.Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return r, fmt.Errorf("read kube-apiserver's metrics: %w", err)
	}
	all, err := parseSeries(content)
	if err != nil {
		return r, err
	}
	all.each("apiserver_request_total", func(labels map[string]string, value float64) {
		switch labels["verb"] {
		case "POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION":
		default:
			return
		}
		resource := labels["resource"]
		if labels["subresource"] != "" {
			resource += "/" + labels["subresource"]
		}
		r.Writes[labels["verb"]+" "+resource] += value
		if labels["verb"] == http.MethodPost && resource == "pods" && labels["code"] == strconv.Itoa(http.StatusForbidden) {
			r.Counted[RefusedPods] += value
		}
	})
	if all, err = operator.series(ctx); err != nil {
		return r, err
	}
	r.Counted[Reconciles] = all.sum("controller_runtime_reconcile_total")
	all.each("rest_client_requests_total", func(labels map[string]string, value float64) {
		kind := OperatorWrites
		if labels["method"] == http.MethodGet {
			kind = OperatorReads
		}
		r.Counted[kind] += value
	})
	return r, nil
}

// readProcesses reads the CPU times of the machine, of this process, and of those that it has started.
func (r *Reading) readProcesses() error {
	machine, err := procfs.NewDefaultFS()
	if err != nil {
		return err
	}
	total, err := machine.Stat()
	if err != nil {
		return err
	}
	cpu := total.CPUTotal
	r.Busy = cpu.User + cpu.Nice + cpu.System + cpu.IRQ + cpu.SoftIRQ
	all, err := machine.AllProcs()
	for _, p := range all {
		// One without a stat or a command line has ended meanwhile.
		if stat, err := p.Stat(); err != nil {
			continue
		} else if p.PID == os.Getpid() {
			r.CPU["load"] = stat.CPUTime()
		} else if line, err := p.CmdLine(); err == nil && len(line) > 0 && stat.PPID == os.Getpid() {
			r.CPU[filepath.Base(line[0])] = stat.CPUTime()
		}
	}
	return err
}

// Since is what was used between two readings, of which r is the later one.
func (r Reading) Since(earlier Reading) Reading {
	return Reading{
		At: r.At, Took: r.At.Sub(earlier.At), Busy: r.Busy - earlier.Busy,
		CPU: r.CPU.Since(earlier.CPU), Writes: r.Writes.Since(earlier.Writes), Counted: r.Counted.Since(earlier.Counted),
	}
}

// OperatorRequests is how many requests the controller made.
func (r Reading) OperatorRequests() float64 {
	return r.Counted[OperatorReads] + r.Counted[OperatorWrites]
}

// Others are the CPU seconds of the machine that none of the measured processes has used.
func (r Reading) Others() float64 { return max(r.Busy-r.CPU.Sum(), 0) }

// ResetPeak makes Peak count anew from what is resident now.
func (s *Server) ResetPeak() error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", s.PID()), []byte("5"), 0)
}

// Peak is the most that was resident of the process, in bytes.
func (s *Server) Peak() (float64, error) {
	p, err := procfs.NewProc(s.PID())
	if err != nil {
		return 0, err
	}
	status, err := p.NewStatus()
	return float64(status.VmHWM), err
}
