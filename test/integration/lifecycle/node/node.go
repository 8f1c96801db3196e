// Package node simulates a node for a control plane that has none. Containers are Go functions here: a Pod that the node takes
// over runs the Program of its namespace, and the node reports to kube-apiserver what a kubelet would report of it, including
// the log. What a real container prints, how it dies and what is visible of that is tested end to end.
package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http/httptest"
	"net/url"
	"strconv"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// Node takes over the Pods of namespaces for which it has a Program. All others get no node. Tests set its behaviour for each
// namespace (conduct.go).
type Node struct {
	name   string
	client kubernetes.Interface
	logs   *httptest.Server
	pods   cache.SharedIndexInformer
	ctx    context.Context // ends with the node
	stop   context.CancelFunc

	mu       sync.Mutex
	conducts map[string]*conduct // by namespace
	lives    map[types.UID]*life
	runs     []*Run
	failures []error
}

// Start registers a node of that name and begins to watch for Pods.
func Start(config *rest.Config, name string) (*Node, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make the client of node %s: %w", name, err)
	}
	n := &Node{name: name, client: client, conducts: map[string]*conduct{}, lives: map[types.UID]*life{}}
	n.ctx, n.stop = context.WithCancel(context.Background())
	n.logs = httptest.NewTLSServer(n.logHandler())
	if err := n.register(); err != nil {
		n.Stop()
		return nil, err
	}
	n.pods = informers.NewSharedInformerFactory(client, 0).Core().V1().Pods().Informer()
	_, err = n.pods.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { n.sync(obj.(*corev1.Pod)) },
		UpdateFunc: func(_, obj any) { n.sync(obj.(*corev1.Pod)) },
		DeleteFunc: n.removed,
	})
	if err != nil {
		n.Stop()
		return nil, fmt.Errorf("watch the Pods of node %s: %w", name, err)
	}
	go n.pods.RunWithContext(n.ctx)
	if !cache.WaitForCacheSync(n.ctx.Done(), n.pods.HasSynced) {
		return nil, fmt.Errorf("list the Pods of node %s: %w", name, context.Cause(n.ctx))
	}
	return n, nil
}

// Name is the name of the Node object.
func (n *Node) Name() string { return n.name }

// Stop abandons all processes.
func (n *Node) Stop() {
	n.stop()
	n.logs.CloseClientConnections()
	n.logs.Close()
}

// syncAll does what the current state of all Pods of a namespace requires.
func (n *Node) syncAll(namespace string) {
	for _, obj := range n.pods.GetStore().List() {
		if pod := obj.(*corev1.Pod); pod.Namespace == namespace {
			n.sync(pod)
		}
	}
}

// Failures returns the errors that prevented the node from doing its part, in Pods of a namespace or elsewhere.
func (n *Node) Failures() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return errors.Join(n.failures...)
}

// register creates the Node object, through which kube-apiserver finds the logs.
func (n *Node) register() error {
	address, err := url.Parse(n.logs.URL)
	if err != nil {
		return fmt.Errorf("find the address of node %s: %w", n.name, err)
	}
	host, text, err := net.SplitHostPort(address.Host)
	if err != nil {
		return fmt.Errorf("find the address of node %s: %w", n.name, err)
	}
	port, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return fmt.Errorf("find the port of node %s: %w", n.name, err)
	}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: n.name}}
	if node, err = n.client.CoreV1().Nodes().Create(n.ctx, node, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("create node %s: %w", n.name, err)
	}
	node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: host}}
	node.Status.DaemonEndpoints.KubeletEndpoint.Port = int32(port)
	if _, err = n.client.CoreV1().Nodes().UpdateStatus(n.ctx, node, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("update the status of node %s: %w", n.name, err)
	}
	return nil
}

// sync does what a Pod's current state requires of its node.
func (n *Node) sync(pod *corev1.Pod) {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := n.of(pod.Namespace)
	if c.cut != nil {
		return
	}
	if l := n.lives[pod.UID]; l != nil {
		l.follow(pod)
		return
	}
	if c.program == nil || pod.Spec.NodeName != "" || pod.DeletionTimestamp != nil {
		return
	}
	l := newLife(n, pod)
	n.lives[pod.UID] = l
	go l.live()
}

// removed is called when a Pod is gone. It kills processes that still run, and removes the logs.
func (n *Node) removed(obj any) {
	if tombstone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = tombstone.Obj
	}
	pod := obj.(*corev1.Pod)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.of(pod.Namespace).cut != nil {
		return
	}
	if l := n.lives[pod.UID]; l != nil {
		l.gone()
		delete(n.lives, pod.UID)
	}
}

// fail records an error, unless it only says that the Pod or its namespace is gone or that the node is being stopped.
func (n *Node) fail(err error) {
	if apierrors.IsNotFound(err) || apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) || n.ctx.Err() != nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.failures = append(n.failures, err)
}
