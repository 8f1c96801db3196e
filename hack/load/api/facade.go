package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	configv1alpha1 "github.com/scrapethis/spider-operator/api/config/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver"
)

// facadeCommand is the argument that makes this program a facade.
const facadeCommand = "facade"

// runFacade runs the facade as `spider-operator apiserver` does, but for limits that do not get in the way, and with profiles.
// Its arguments are a kubeconfig, the namespace to serve, and where to listen for requests and for questions about metrics.
func runFacade(ctx context.Context, args []string) error {
	if len(args) != 4 {
		return fmt.Errorf("usage: bench-api %s KUBECONFIG NAMESPACE LISTEN METRICS-LISTEN", facadeCommand)
	}
	config, err := clientcmd.BuildConfigFromFlags("", args[0])
	if err != nil {
		return fmt.Errorf("read the kubeconfig: %w", err)
	}
	settings := configv1alpha1.DefaultAPIServer()
	settings.Rate, settings.Burst, settings.NamespaceRate, settings.FailedAuthentications, settings.MaxStreams = 1e9, 1e9, 1e9, 1e9, 1e9
	settings.MaxUnfinishedJobs, settings.MaxArgumentBytes = 0, 0
	settings.ShutdownDelay.Duration, settings.DrainTimeout.Duration = 0, time.Second
	return apiserver.Run(ctx, config, apiserver.Options{
		Config:        settings,
		Namespaces:    []string{args[1]},
		Listen:        args[2],
		MetricsListen: args[3],
		Profiling:     true,
	}, slog.New(slog.NewJSONHandler(os.Stderr, nil)))
}

const (
	// stopTimeout is how long a facade has to stop before it is killed.
	stopTimeout = 20 * time.Second
	// startTimeout is how long a facade may take until it is ready.
	startTimeout = 5 * time.Minute
	// logTail is how much of a facade's log an error shows, in bytes.
	logTail = 2 << 10
)

// facade is a facade that runs as a process of its own.
type facade struct {
	// url is where it serves requests, and insight where it tells about itself.
	url, insight string
	// end asks the process to end. ended is closed when it has; then err says how.
	end   context.CancelFunc
	ended chan struct{}
	err   error
}

// startFacade starts a facade for a namespace, waits until it is ready, and returns how long that took. It logs to a file in
// directory. The kernel kills it should this process end without stopping it.
func startFacade(ctx context.Context, directory, kubeconfig, namespace string) (*facade, time.Duration, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, 0, fmt.Errorf("find this program: %w", err)
	}
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, 0, err
	}
	insight, err := freeAddress(ctx)
	if err != nil {
		return nil, 0, err
	}
	name := filepath.Join(directory, namespace+".log")
	log, err := os.Create(name)
	if err != nil {
		return nil, 0, fmt.Errorf("create a facade's log: %w", err)
	}
	defer func() { _ = log.Close() }()                             // the process has its own copy
	running, end := context.WithCancel(context.WithoutCancel(ctx)) // it runs until it is stopped, which is done in order
	command := exec.CommandContext(running, program, facadeCommand, kubeconfig, namespace, address, insight)
	command.Stderr = log
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = stopTimeout
	f := &facade{url: "http://" + address, insight: "http://" + insight, end: end, ended: make(chan struct{})}
	start := time.Now()
	if err := command.Start(); err != nil {
		end()
		return nil, 0, fmt.Errorf("start a facade: %w", err)
	}
	go func() {
		f.err = command.Wait()
		close(f.ended)
	}()
	if err := f.awaitReady(ctx); err != nil {
		return nil, 0, errors.Join(err, f.stop(), lastLines(name))
	}
	return f, time.Since(start), nil
}

// freeAddress is one of the loopback's on which nothing listens.
func freeAddress(ctx context.Context) (string, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return listener.Addr().String(), listener.Close()
}

func (f *facade) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := ask(ctx, f.url+"/readyz"); err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-f.ended:
			return errors.New("a facade has ended before it was ready")
		case <-ctx.Done():
			return fmt.Errorf("wait until a facade is ready: %w", ctx.Err())
		}
	}
}

// lastLines is an error with the end of a log.
func lastLines(name string) error {
	log, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("read a facade's log: %w", err)
	}
	return fmt.Errorf("the end of its log:\n%s", log[max(0, len(log)-logTail):])
}

// stop ends the process and waits for its end. It may have been stopped before.
func (f *facade) stop() error {
	if f == nil {
		return nil
	}
	f.end()
	<-f.ended
	if f.err != nil && !errors.Is(f.err, context.Canceled) {
		return fmt.Errorf("stop a facade: %w", f.err)
	}
	return nil
}

// usage is what a facade's process has used up to a moment, and what it holds at that moment.
type usage struct {
	cpu time.Duration
	// allocations and allocated count all that was ever allocated on the heap: objects and bytes.
	allocations, allocated float64
	// heap and resident are bytes.
	heap, resident float64
}

// usage reads the facade's metrics.
func (f *facade) usage(ctx context.Context) (usage, error) {
	text, err := ask(ctx, f.insight+"/metrics")
	if err != nil {
		return usage{}, err
	}
	values, err := plainSeries(text)
	if err != nil {
		return usage{}, err
	}
	var u usage
	for name, to := range map[string]*float64{
		"go_memstats_mallocs_total":     &u.allocations,
		"go_memstats_alloc_bytes_total": &u.allocated,
		"go_memstats_heap_alloc_bytes":  &u.heap,
		"process_resident_memory_bytes": &u.resident,
	} {
		value, found := values[name]
		if !found {
			return usage{}, fmt.Errorf("the facade's metrics have no %s", name)
		}
		*to = value
	}
	u.cpu = time.Duration(values["process_cpu_seconds_total"] * float64(time.Second))
	return u, nil
}

// collected is the usage just after a garbage collection.
func (f *facade) collected(ctx context.Context) (usage, error) {
	for range 2 { // what pools hold survives the first
		if _, err := ask(ctx, f.insight+"/debug/pprof/heap?gc=1"); err != nil {
			return usage{}, err
		}
	}
	return f.usage(ctx)
}

// plainSeries are the series without labels of a text in Prometheus' format.
func plainSeries(text []byte) (map[string]float64, error) {
	values := map[string]float64{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		name, value, found := strings.Cut(lines.Text(), " ")
		if !found || name == "#" || strings.Contains(name, "{") {
			continue
		}
		number, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return nil, fmt.Errorf("read metrics: %q: %w", lines.Text(), err)
		}
		values[name] = number
	}
	return values, lines.Err()
}

// ask gets what is at an address.
func ask(ctx context.Context, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("ask for %s: %w", url, err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask for %s: %w", url, err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("ask for %s: %w", url, err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask for %s: %s: %s", url, response.Status, body)
	}
	return body, nil
}
