// Command site is the demo's bookshop: it generates the pages when its image is built and serves them in the cluster.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/scrapethis/spider-operator/test/spiders/site/bookshop"
)

const usage = "usage: site generate FOLDER | site serve FOLDER [ADDRESS]"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "site:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	switch {
	case len(args) == 2 && args[0] == "generate":
		return bookshop.Write(args[1])
	case len(args) == 2 && args[0] == "serve":
		return serve(ctx, args[1], ":8080")
	case len(args) == 3 && args[0] == "serve":
		return serve(ctx, args[1], args[2])
	default:
		return errors.New(usage)
	}
}

func serve(ctx context.Context, folder, address string) error {
	server := &http.Server{
		Addr:              address,
		Handler:           handler(folder),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	slog.Info("serving the bookshop", "folder", folder, "address", address)
	select {
	case err := <-failed:
		return fmt.Errorf("serve %s on %s: %w", folder, address, err)
	case <-ctx.Done():
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := server.Shutdown(stopping); err != nil {
		return fmt.Errorf("shut down: %w", err)
	}
	return nil
}

// handler serves the folder's files, and /healthz, which answers once the site is there to be served.
func handler(folder string) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", http.FileServer(http.Dir(folder)))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if _, err := fs.Stat(os.DirFS(folder), "count.json"); err != nil {
			http.Error(w, "the site has not been generated", http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ok\n") // a prober that has gone needs no answer
	})
	return mux
}
