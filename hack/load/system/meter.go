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
)

const (
	// Operator names the controller's process among those that are measured.
	Operator = "operator"
	// Leases is the key of writes that are not caused by jobs.
	Leases = "PUT leases"

	scheduler = "kube-scheduler"
)

// Reading is what the processes have used and asked for up to a moment.
type Reading struct {
	// At is the moment.
	At time.Time
	// Busy is the CPU time of the whole machine, CPU that of each process that is measured.
	Busy time.Duration
	CPU  map[string]time.Duration
	// Writes counts the writes that kube-apiserver was asked for by all its clients, by verb and resource.
	Writes map[string]float64
	// RefusedPods counts the Pods that it refused to create, for quota or by admission.
	RefusedPods float64
	// Reconciles counts the controller's reconciles; OperatorWrites and OperatorReads its requests of kube-apiserver, and
	// OperatorRefused those of them that were refused, such as conflicting writes.
	Reconciles, OperatorWrites, OperatorReads, OperatorRefused float64
}

// measured returns the processes that are measured. The operator and this program run the same binary.
func measured(operator *Server) (map[string]procfs.Proc, error) {
	all, err := procfs.AllProcs()
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	found := map[string]procfs.Proc{}
	for _, name := range []string{"load", "etcd", "kube-apiserver", "kube-controller-manager", scheduler, "kwok"} {
		found[name] = procfs.Proc{}
	}
	if operator != nil {
		found[Operator] = procfs.Proc{}
	}
	for _, p := range all {
		name := ""
		if p.PID == os.Getpid() {
			name = "load"
		} else if operator != nil && p.PID == operator.PID() {
			name = Operator
		} else if stat, err := p.Stat(); err != nil || stat.PPID != os.Getpid() {
			continue // it has ended meanwhile, or another process started it
		} else if line, err := p.CmdLine(); err == nil && len(line) > 0 {
			name = filepath.Base(line[0])
		}
		if _, wanted := found[name]; wanted {
			found[name] = p
		}
	}
	for name, p := range found {
		if p.PID == 0 {
			return nil, fmt.Errorf("find the process of %s: it does not run", name)
		}
	}
	return found, nil
}

// Read reads all meters. operator is nil when no controller runs.
func (s *System) Read(ctx context.Context, operator *Server) (Reading, error) {
	r := Reading{At: time.Now(), CPU: map[string]time.Duration{}, Writes: map[string]float64{}}
	if err := r.readProcesses(operator); err != nil {
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
			r.RefusedPods += value
		}
	})
	if operator == nil {
		return r, nil
	}
	if all, err = operator.series(ctx); err != nil {
		return r, err
	}
	r.Reconciles = all.sum("controller_runtime_reconcile_total", nil)
	const requests = "rest_client_requests_total"
	r.OperatorReads = all.sum(requests, func(labels map[string]string) bool { return labels["method"] == http.MethodGet })
	r.OperatorWrites = all.sum(requests, nil) - r.OperatorReads
	r.OperatorRefused = all.sum(requests, func(labels map[string]string) bool { return labels["code"] >= "400" })
	return r, nil
}

func (r *Reading) readProcesses(operator *Server) error {
	processes, err := measured(operator)
	if err != nil {
		return err
	}
	for name, p := range processes {
		stat, err := p.Stat()
		if err != nil {
			return fmt.Errorf("read the CPU time of %s: %w", name, err)
		}
		r.CPU[name] = seconds(stat.CPUTime())
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
	r.Busy = seconds(total.User + total.Nice + total.System + total.IRQ + total.SoftIRQ)
	return nil
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// Since is what was used between two readings, of which r is the later one.
func (r Reading) Since(earlier Reading) Reading {
	d := r
	d.Busy -= earlier.Busy
	d.RefusedPods -= earlier.RefusedPods
	d.Reconciles -= earlier.Reconciles
	d.OperatorWrites -= earlier.OperatorWrites
	d.OperatorReads -= earlier.OperatorReads
	d.OperatorRefused -= earlier.OperatorRefused
	d.CPU, d.Writes = map[string]time.Duration{}, map[string]float64{}
	for name, value := range r.CPU {
		d.CPU[name] = value - earlier.CPU[name]
	}
	for name, value := range r.Writes {
		if value > earlier.Writes[name] {
			d.Writes[name] = value - earlier.Writes[name]
		}
	}
	return d
}

// OperatorRequests is how many requests the controller made.
func (r Reading) OperatorRequests() float64 { return r.OperatorReads + r.OperatorWrites }

// AllWrites is the number of writes.
func (r Reading) AllWrites() float64 {
	all := 0.0
	for _, value := range r.Writes {
		all += value
	}
	return all
}

// AllCPU is the CPU time of all processes that are measured.
func (r Reading) AllCPU() time.Duration {
	all := time.Duration(0)
	for _, value := range r.CPU {
		all += value
	}
	return all
}

// Others is the CPU time of the machine that none of the measured processes has used.
func (r Reading) Others() time.Duration { return max(r.Busy-r.AllCPU(), 0) }

// ResetPeaks makes PeakMemory count anew from what is resident now.
func ResetPeaks(operator *Server) error {
	processes, err := measured(operator)
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
func PeakMemory(operator *Server) (map[string]uint64, error) {
	processes, err := measured(operator)
	if err != nil {
		return nil, err
	}
	peaks := map[string]uint64{}
	for name, p := range processes {
		status, err := p.NewStatus()
		if err != nil {
			return nil, fmt.Errorf("read the memory of %s: %w", name, err)
		}
		peaks[name] = status.VmHWM
	}
	return peaks, nil
}
