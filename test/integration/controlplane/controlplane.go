// Package controlplane runs a real Kubernetes control plane for tests and benchmarks: etcd, kube-apiserver and
// kube-controller-manager as processes of the caller's own user, on free ports of the loopback address, with this project's
// custom resources installed. There is no scheduler, no node and no kubelet: a test acts as the kubelet by writing Pod
// statuses.
//
// A test package starts one in its TestMain and gives each test a namespace of its own:
//
//	var cluster *controlplane.ControlPlane
//
//	func TestMain(m *testing.M) { os.Exit(controlplane.Main(m, &cluster)) }
//
//	func TestIt(t *testing.T) { namespace := cluster.Namespace(t) … }
//
// Its processes never outlive the process that started them, however that ends: where setpriv exists (any Linux), the kernel
// kills what a panic or a test's time-out leaves behind.
package controlplane

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	scrapethisv1alpha1 "github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/test/integration/process"
)

// startTimeout bounds the start of each component. It is long because a machine with two busy cores and cold caches is slow
// to read binaries of 200 MB.
const startTimeout = 2 * time.Minute

// ControlPlane is a running control plane.
type ControlPlane struct {
	// Config connects as a member of system:masters, with client limits that do not matter.
	Config *rest.Config
	// Client reads and writes live as the same user. It knows the kinds of Kubernetes and of this project.
	Client client.WithWatch
	// Kubeconfig is the path of a kubeconfig of the same user.
	Kubeconfig string
	// Assets is the directory with the programs of Kubernetes.
	Assets string

	environment *envtest.Environment
	manager     *process.Process
	directory   string
}

// Main runs a package's tests against a control plane, which it stores in *cluster and stops afterwards, and returns the exit
// code. An interrupt also stops the control plane.
func Main(m *testing.M, cluster **ControlPlane) int {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()

	started, err := Start(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	*cluster = started

	finished := make(chan int, 1)
	go func() { finished <- m.Run() }()
	var code int
	select {
	case code = <-finished:
	case <-ctx.Done():
		fmt.Fprintln(os.Stderr, "interrupted: stopping the control plane")
		code = 130
	}
	if err := started.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return max(code, 1)
	}
	return code
}

// Start starts a control plane and waits until it serves and its controllers work. If it fails, it stops what it started.
func Start(ctx context.Context) (_ *ControlPlane, err error) {
	assets, err := assetsDirectory(ctx)
	if err != nil {
		return nil, err
	}
	directory, err := makeDirectory()
	if err != nil {
		return nil, err
	}
	c := &ControlPlane{
		Kubeconfig: filepath.Join(directory, "kubeconfig"),
		Assets:     assets,
		directory:  directory,
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Stop())
		}
	}()

	if err := c.startServer(); err != nil {
		return nil, fmt.Errorf("start etcd and kube-apiserver: %w%s", err, lastLines(directory, "etcd", "kube-apiserver"))
	}
	if err := c.installCustomResources(); err != nil {
		return nil, err
	}
	c.manager, err = startControllerManager(ctx, directory, assets, c.Kubeconfig, c.serviceAccountKey())
	if err != nil {
		return nil, err
	}
	if err := c.waitForControllers(ctx); err != nil {
		return nil, fmt.Errorf("wait for kube-controller-manager: %w%s", err, lastLines(directory, "kube-controller-manager"))
	}
	return c, nil
}

// Stop stops everything and removes its files.
func (c *ControlPlane) Stop() error {
	var errs []error
	if c.manager != nil {
		errs = append(errs, c.manager.Stop())
	}
	if c.environment != nil {
		errs = append(errs, c.environment.Stop())
	}
	errs = append(errs, os.RemoveAll(c.directory))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("stop the control plane: %w", err)
	}
	return nil
}

// startServer starts etcd and kube-apiserver and makes the clients.
func (c *ControlPlane) startServer() error {
	scheme, err := newScheme()
	if err != nil {
		return err
	}
	if c.environment, err = newEnvironment(c.directory, c.Assets, scheme); err != nil {
		return err
	}
	if c.Config, err = c.environment.Start(); err != nil {
		return err
	}
	if err := os.WriteFile(c.Kubeconfig, c.environment.KubeConfig, 0o600); err != nil {
		return fmt.Errorf("write the kubeconfig: %w", err)
	}
	if c.Client, err = client.NewWithWatch(c.Config, client.Options{Scheme: scheme}); err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	return nil
}

// installCustomResources applies this project's CustomResourceDefinitions and waits until they are served.
func (c *ControlPlane) installCustomResources() error {
	definitions, err := repositoryPath("config", "crd", "bases")
	if err != nil {
		return err
	}
	options := envtest.CRDInstallOptions{Paths: []string{definitions}, ErrorIfPathMissing: true, Scheme: c.environment.Scheme}
	if _, err := envtest.InstallCRDs(c.Config, options); err != nil {
		return fmt.Errorf("install the CustomResourceDefinitions in %s: %w", definitions, err)
	}
	return nil
}

// waitForControllers waits until kube-controller-manager has created the service account of the namespace "default", the last
// thing that Pods need.
func (c *ControlPlane) waitForControllers(ctx context.Context) error {
	return wait.PollUntilContextTimeout(ctx, pollInterval, startTimeout, true, func(ctx context.Context) (bool, error) {
		if err := c.manager.Failure(); err != nil {
			return false, err
		}
		err := c.Client.Get(ctx, client.ObjectKey{Namespace: "default", Name: "default"}, &corev1.ServiceAccount{})
		return err == nil, client.IgnoreNotFound(err)
	})
}

// newEnvironment describes an etcd and a kube-apiserver that differ from production ones in one respect: etcd does not wait for
// the disk, since nothing has to survive a crash.
func newEnvironment(directory, assets string, scheme *runtime.Scheme) (*envtest.Environment, error) {
	environment := &envtest.Environment{
		Scheme:                   scheme,
		ControlPlaneStartTimeout: startTimeout,
	}
	etcd, server := &envtest.Etcd{}, environment.ControlPlane.GetAPIServer()
	environment.ControlPlane.Etcd = etcd

	etcd.DataDir = filepath.Join(directory, "data")
	etcd.Configure().Set("unsafe-no-fsync", "true")

	server.CertDir = filepath.Join(directory, "certificates")
	// envtest leaves this out, since it has no controller that creates service accounts. Here there is one.
	server.Configure().Disable("disable-admission-plugins")

	for _, made := range []string{etcd.DataDir, server.CertDir} {
		if err := os.Mkdir(made, 0o700); err != nil {
			return nil, fmt.Errorf("make a directory of the control plane: %w", err)
		}
	}
	var err error
	if etcd.Path, err = bound(directory, assets, "etcd"); err != nil {
		return nil, err
	}
	if server.Path, err = bound(directory, assets, "kube-apiserver"); err != nil {
		return nil, err
	}
	etcdLog, err := createLog(directory, "etcd")
	if err != nil {
		return nil, err
	}
	serverLog, err := createLog(directory, "kube-apiserver")
	if err != nil {
		return nil, err
	}
	etcd.Out, etcd.Err = etcdLog, etcdLog
	server.Out, server.Err = serverLog, serverLog
	return environment, nil
}

// serviceAccountKey returns the path of the key that signs tokens of service accounts.
func (c *ControlPlane) serviceAccountKey() string {
	return filepath.Join(c.environment.ControlPlane.GetAPIServer().CertDir, "sa-signer.key")
}

func newScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	builder := runtime.NewSchemeBuilder(
		clientgoscheme.AddToScheme, apiextensionsv1.AddToScheme, scrapethisv1alpha1.AddToScheme)
	if err := builder.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("build the scheme: %w", err)
	}
	return scheme, nil
}
