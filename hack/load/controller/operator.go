package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"runtime"
	rpprof "runtime/pprof"
	"strconv"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"k8s.io/client-go/tools/clientcmd"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/scrapethis/spider-operator/controllers"
)

// operatorCommand is the argument that makes this program the operator's controller.
const operatorCommand = "operator"

// listenerFD is where that process finds its listener: the first file after the standard ones.
const listenerFD = 3

// memoryUse is what the controller's Go heap holds after a garbage collection, in bytes.
type memoryUse struct {
	Heap uint64 `json:"heap"`
}

// runOperator runs the operator's controller as `spider-operator controller` does, with its defaults, and serves what only a
// benchmark asks of it: a heap that was just collected, and profiles. Its arguments are a kubeconfig and the number of workers.
func runOperator(ctx context.Context, args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("usage: bench %s KUBECONFIG WORKERS", operatorCommand)
	}
	workers, err := strconv.Atoi(args[1])
	if err != nil {
		return fmt.Errorf("read the number of workers: %w", err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", args[0])
	if err != nil {
		return fmt.Errorf("read the kubeconfig: %w", err)
	}
	listener, err := net.FileListener(os.NewFile(listenerFD, "listener"))
	if err != nil {
		return fmt.Errorf("take over the listener: %w", err)
	}
	server := &http.Server{Handler: insight(), ReadHeaderTimeout: time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()

	logger := zap.New()
	ctrl.SetLogger(logger)
	go func() { failed <- controllers.Run(ctx, config, operatorOptions(workers)) }()
	err = <-failed
	_ = server.Close() // The process ends here.
	return err
}

// operatorOptions are the defaults of the controller, but for where it listens.
func operatorOptions(workers int) controllers.Options {
	opts := controllers.DefaultOptions()
	opts.Config.Workers = workers
	opts.MetricsListen = "" // metrics are served beside the profiles
	opts.Log = slog.New(logr.ToSlogHandler(ctrl.Log))
	return opts
}

// insight serves metrics, profiles and the size of the collected heap.
func insight() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(metrics.Registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /memory", func(w http.ResponseWriter, _ *http.Request) {
		runtime.GC() // twice, since what pools hold survives the first
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		answer, err := json.Marshal(memoryUse{Heap: stats.HeapAlloc})
		respond(w, answer, err)
	})
	var profile bytes.Buffer
	mux.HandleFunc("POST /cpu/start", func(w http.ResponseWriter, _ *http.Request) {
		profile.Reset()
		respond(w, nil, rpprof.StartCPUProfile(&profile))
	})
	mux.HandleFunc("POST /cpu/stop", func(w http.ResponseWriter, _ *http.Request) {
		rpprof.StopCPUProfile()
		respond(w, profile.Bytes(), nil)
	})
	return mux
}

func respond(w http.ResponseWriter, answer []byte, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = w.Write(answer) // Who asked finds out.
}
