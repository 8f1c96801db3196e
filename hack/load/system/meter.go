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

const (
	// Leases is the key of writes that are not caused by jobs.
	Leases = "PUT leases"

	scheduler = "kube-scheduler"
)

// What is counted of the controller: its reconciles, its requests of kube-apiserver, and those of them that were refused, such as
// conflicting writes. RefusedPods are the Pods that kube-apiserver refused to create, for quota or by admission.
const (
	Reconciles      = "reconciles"
	OperatorWrites  = "writes of the operator"
	OperatorReads   = "reads of the operator"
	OperatorRefused = "refused requests of the operator"
	RefusedPods     = "refused pods"
)

// Reading is what the processes have used and asked for up to a moment.
type Reading struct {
	// At is the moment.
	At time.Time
	// Busy is the CPU time of the whole machine, CPU that of each process that is measured, both in seconds.
	Busy float64
	CPU  measure.Counts
	// Writes counts the writes that kube-apiserver was asked for by all its clients, by verb and resource.
	Writes measure.Counts
	// Counted is what else was counted, by the names above.
	Counted measure.Counts
}

// measured returns the processes that are measured: this one, and those that it has started.
func measured() (map[string]procfs.Proc, error) {
	all, err := procfs.AllProcs()
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	found := map[string]procfs.Proc{}
	for _, p := range all {
		if p.PID == os.Getpid() {
			found["load"] = p
		} else if stat, err := p.Stat(); err != nil || stat.PPID != os.Getpid() {
			continue // it has ended meanwhile, or another process started it
		} else if line, err := p.CmdLine(); err == nil && len(line) > 0 {
			found[filepath.Base(line[0])] = p
		}
	}
	return found, nil
}

// Read reads all meters. operator is nil when no controller runs.
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
	if operator == nil {
		return r, nil
	}
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
		if labels["code"] >= "400" {
			r.Counted[OperatorRefused] += value
		}
	})
	return r, nil
}

func (r *Reading) readProcesses() error {
	processes, err := measured()
	if err != nil {
		return err
	}
	for name, p := range processes {
		stat, err := p.Stat()
		if err != nil {
			return fmt.Errorf("read the CPU time of %s: %w", name, err)
		}
		r.CPU[name] = stat.CPUTime()
	}
	machine, err := procfs.NewDefaultFS()
	if err != nil {
		return fmt.Errorf("read about the processors: %w", err)
	}
	stat, err := machine.Stat()
	if err != nil {
		return fmt.Errorf("read about the processors: %w", err)
	}
	total := stat.CPUTotal
	r.Busy = total.User + total.Nice + total.System + total.IRQ + total.SoftIRQ
	return nil
}

// Since is what was used between two readings, of which r is the later one.
func (r Reading) Since(earlier Reading) Reading {
	return Reading{
		At: r.At, Busy: r.Busy - earlier.Busy,
		CPU: r.CPU.Since(earlier.CPU), Writes: r.Writes.Since(earlier.Writes), Counted: r.Counted.Since(earlier.Counted),
	}
}

// OperatorRequests is how many requests the controller made.
func (r Reading) OperatorRequests() float64 {
	return r.Counted[OperatorReads] + r.Counted[OperatorWrites]
}

// Others are the CPU seconds of the machine that none of the measured processes has used.
func (r Reading) Others() float64 { return max(r.Busy-r.CPU.Sum(), 0) }

// ResetPeaks makes PeakMemory count anew from what is resident now.
func ResetPeaks() error {
	processes, err := measured()
	if err != nil {
		return err
	}
	for name, p := range processes {
		if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.PID), []byte("5"), 0); err != nil {
			return fmt.Errorf("reset the peak of %s's memory: %w", name, err)
		}
	}
	return nil
}

// PeakMemory is the most that was resident of each process, in bytes.
func PeakMemory() (measure.Counts, error) {
	processes, err := measured()
	if err != nil {
		return nil, err
	}
	peaks := measure.Counts{}
	for name, p := range processes {
		status, err := p.NewStatus()
		if err != nil {
			return nil, fmt.Errorf("read the memory of %s: %w", name, err)
		}
		peaks[name] = float64(status.VmHWM)
	}
	return peaks, nil
}
