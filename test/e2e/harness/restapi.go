package harness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	rest "github.com/scrapethis/spider-operator/client"
	"github.com/scrapethis/spider-operator/test/integration/process"
)

// RESTAPI is a test's own process of the REST API, whose way to Kubernetes can be cut.
type RESTAPI struct {
	// URL is its address.
	URL string

	way *way
}

// Cut cuts the way to Kubernetes, including existing connections.
func (r *RESTAPI) Cut() { r.way.open(false) }

// Mend lets the REST API reach Kubernetes again.
func (r *RESTAPI) Mend() { r.way.open(true) }

// RESTAPI starts a REST API on this machine, and stops it when the test ends.
func (n *Namespace) RESTAPI() *RESTAPI {
	n.t.Helper()
	server, err := url.Parse(n.Config.Host)
	if err != nil {
		n.t.Fatalf("parse the address of kube-apiserver: %v", err)
	}
	w, err := newWay(n.t.Context(), server.Host)
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(w.close)
	config, err := clientcmd.LoadFromFile(n.Kubeconfig)
	if err != nil {
		n.t.Fatalf("read KUBECONFIG: %v", err)
	}
	for _, c := range config.Clusters {
		c.Server, c.TLSServerName = "https://"+w.listener.Addr().String(), server.Hostname()
	}
	kubeconfig := filepath.Join(n.t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, kubeconfig); err != nil {
		n.t.Fatalf("write a kubeconfig: %v", err)
	}
	address, err := process.FreeAddress(n.t.Context())
	if err != nil {
		n.t.Fatal(err)
	}
	n.serve(exec.CommandContext(context.WithoutCancel(n.t.Context()), n.Operator, "apiserver", "--kubeconfig", kubeconfig,
		"--listen", address,
		"--metrics-listen", "", "--shutdown-delay", "0s", "--namespaces", n.Name))
	api := &RESTAPI{URL: "http://" + address, way: w}
	n.Eventually(n.t, startTimeout, "the REST API of the test's own is ready", func(ctx context.Context) error {
		caller, err := rest.New(api.URL, "", rest.WithHTTPClient(&http.Client{Transport: ownConnections}), rest.WithAttempts(1))
		if err != nil {
			return err
		}
		_, err = caller.GetReadyz(ctx)
		return err
	})
	return api
}

// serve runs a program until the test ends. It keeps the program's output, and logs it if the test has failed.
func (n *Namespace) serve(command *exec.Cmd) {
	n.t.Helper()
	log, err := os.Create(filepath.Join(n.t.TempDir(), "log"))
	if err != nil {
		n.t.Fatalf("keep a log: %v", err)
	}
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		n.t.Fatalf("start %s: %v", command.Path, err)
	}
	n.t.Cleanup(func() {
		stopped := errors.Join(command.Process.Signal(syscall.SIGTERM), command.Wait(), log.Close())
		if n.t.Failed() {
			said, err := os.ReadFile(log.Name())
			n.t.Logf("%s ended with %v and said (%v):\n%s", command.Path, stopped, err, said)
		}
	})
}

// way forwards connections to one address while it is open.
type way struct {
	listener net.Listener
	to       string

	mu          sync.Mutex
	closed      bool
	connections map[net.Conn]bool
}

func newWay(ctx context.Context, to string) (*way, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("make a way to %s: %w", to, err)
	}
	w := &way{listener: listener, to: to, connections: map[net.Conn]bool{}}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return // it was closed
			}
			go w.pass(connection)
		}
	}()
	return w, nil
}

func (w *way) pass(near net.Conn) {
	defer drop(near)
	dialer := net.Dialer{Timeout: 5 * time.Second}
	far, err := dialer.Dial("tcp", w.to)
	if err != nil {
		return
	}
	defer drop(far)
	if !w.hold(near) {
		return
	}
	defer w.forget(near)
	ended := make(chan struct{}, 2)
	for _, pair := range [][2]net.Conn{{near, far}, {far, near}} {
		go func() {
			_, _ = io.Copy(pair[0], pair[1]) // if one ends, both end
			ended <- struct{}{}
		}()
	}
	<-ended
}

func (w *way) hold(connection net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.closed {
		w.connections[connection] = true
	}
	return !w.closed
}

func (w *way) forget(connection net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.connections, connection)
}

func (w *way) open(open bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = !open
	if open {
		return
	}
	for connection := range w.connections {
		drop(connection)
	}
}

func (w *way) close() {
	_ = w.listener.Close() // no more connections
	w.open(false)
}

// drop closes a connection, whatever its state.
func drop(connection net.Conn) { _ = connection.Close() }
