// Package harness runs the end-to-end tests: against a running operator, a real kubelet and real spiders. It finds them through
// the environment (see Settings), gives each test a namespace of its own, with spiders and API keys, and watches what happens
// there.
//
//	var cluster *harness.Cluster
//
//	func TestMain(m *testing.M) { os.Exit(harness.Main(m, &cluster)) }
//
//	func TestIt(t *testing.T) { n := cluster.Namespace(t) … }
//
// In every test it checks every response of the REST API against the REST API's own OpenAPI document, and every SpiderJob
// against what no SpiderJob may do (see invariants.go).
package harness

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// Settings say how to reach the system under test. Each is an environment variable.
type Settings struct {
	// Kubeconfig is KUBECONFIG: an administrator's.
	Kubeconfig string
	// APIURL is SPIDER_API_URL: the address of the REST API from this machine.
	APIURL string
	// Operator is SPIDER_OPERATOR: the path of the operator's binary for this machine.
	Operator string
	// Kubectl is KUBECTL: the path of kubectl.
	Kubectl string
	// HelmProgram is HELM: the path of Helm.
	HelmProgram string
	// ScrapyImage is SPIDER_IMG, by default the demo's.
	ScrapyImage string
	// CounterImage is COUNTER_IMG, by default the demo's.
	CounterImage string
	// System is SYSTEM_NAMESPACE: the namespace of the operator, by default spider-operator-system.
	System string
}

func settings() (Settings, error) {
	s := Settings{
		Kubeconfig:   os.Getenv("KUBECONFIG"),
		APIURL:       strings.TrimSuffix(os.Getenv("SPIDER_API_URL"), "/"),
		Operator:     os.Getenv("SPIDER_OPERATOR"),
		Kubectl:      os.Getenv("KUBECTL"),
		HelmProgram:  os.Getenv("HELM"),
		ScrapyImage:  cmp.Or(os.Getenv("SPIDER_IMG"), "spider-demo-scrapy:dev"),
		CounterImage: cmp.Or(os.Getenv("COUNTER_IMG"), "spider-demo-counter:dev"),
		System:       cmp.Or(os.Getenv("SYSTEM_NAMESPACE"), "spider-operator-system"),
	}
	var missing []string
	for _, variable := range []struct{ name, value string }{
		{"KUBECONFIG", s.Kubeconfig}, {"SPIDER_API_URL", s.APIURL}, {"SPIDER_OPERATOR", s.Operator}, {"KUBECTL", s.Kubectl},
		{"HELM", s.HelmProgram},
	} {
		if variable.value == "" {
			missing = append(missing, variable.name)
		}
	}
	if len(missing) > 0 {
		return s, fmt.Errorf("the end-to-end tests need a cluster that the operator runs in; not set: %s. "+
			"`make test-e2e` brings all of it", strings.Join(missing, ", "))
	}
	return s, nil
}

// Cluster is the system under test.
type Cluster struct {
	Settings

	// Config connects as the administrator, with client limits that do not matter.
	Config *rest.Config
	// Client reads and writes live, as the administrator.
	Client client.WithWatch
	// Clientset is for what Client cannot do: logs, evictions and proxies.
	Clientset kubernetes.Interface

	watched    cache.Cache
	changes    broadcast
	invariants *invariants
	contract   *contract
}

// startTimeout bounds everything that comes before the first test.
const startTimeout = time.Minute

// Main runs a package's tests against the cluster, which it stores in *cluster, and returns the exit code. Without a cluster it
// prints what is missing, and the package fails.
func Main(m *testing.M, into **Cluster) int {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	c, err := connect(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	*into = c
	code := m.Run()
	if err := c.survived(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return max(code, 1)
	}
	return code
}

func connect(ctx context.Context) (*Cluster, error) {
	s, err := settings()
	if err != nil {
		return nil, err
	}
	config, err := clientcmd.BuildConfigFromFlags("", s.Kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read KUBECONFIG: %w", err)
	}
	config.QPS = -1
	config.UserAgent = "spider-operator-e2e"
	log.SetLogger(logr.Discard()) // when a component is killed, watches end: that is no news here
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, fmt.Errorf("register the API types: %w", err)
	}
	c := &Cluster{Settings: s, Config: config}
	if c.Client, err = client.NewWithWatch(config, client.Options{Scheme: scheme}); err != nil {
		return nil, fmt.Errorf("make a Kubernetes client: %w", err)
	}
	if c.Clientset, err = kubernetes.NewForConfig(config); err != nil {
		return nil, fmt.Errorf("make a Kubernetes client: %w", err)
	}
	if c.contract, err = readContract(ctx, s.APIURL); err != nil {
		return nil, err
	}
	if c.watched, err = cache.New(config, cache.Options{Scheme: scheme}); err != nil {
		return nil, fmt.Errorf("make a cache: %w", err)
	}
	c.invariants = newInvariants()
	if err := c.watch(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// watch keeps a copy of the objects that tests read often, and notifies waiting tests whenever any of them changes.
func (c *Cluster) watch(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for _, kind := range []client.Object{&v1alpha1.SpiderJob{}, &batchv1.Job{}, &corev1.Pod{}, &corev1.Event{}} {
		informer, err := c.watched.GetInformer(ctx, kind, cache.BlockUntilSynced(false))
		if err != nil {
			return fmt.Errorf("watch %T: %w", kind, err)
		}
		if _, err := informer.AddEventHandler(c.handler()); err != nil {
			return fmt.Errorf("watch %T: %w", kind, err)
		}
	}
	// The watch lasts as long as the process.
	go func() {
		if err := c.watched.Start(context.WithoutCancel(ctx)); err != nil {
			fmt.Fprintln(os.Stderr, "the harness cannot watch the cluster any more:", err)
		}
	}()
	if !c.watched.WaitForCacheSync(ctx) {
		return fmt.Errorf("watch the cluster: its state could not be read within %s", startTimeout)
	}
	return nil
}
