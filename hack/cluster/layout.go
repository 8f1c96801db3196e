package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/scrapethis/spider-operator/hack/internal/pki"
)

// The cluster's network. Nothing of it leaves the machine: node and service addresses belong to a bridge without ports, pods
// to one whose ports are theirs.
const (
	// nodeName resolves on every machine, so that kube-apiserver reaches the kubelet by it without a DNS.
	nodeName = "localhost"
	// nodeBridge carries the node's address and draws the route to the services.
	nodeBridge = "kube0"
	// podBridge is made by the CNI plugin when the first Pod starts.
	podBridge = "kube-pods"

	// isolation is the nftables table that keeps pods' traffic on the machine.
	isolation = "spider-operator"

	clusterName = "spider-operator"
	pauseImage  = "spider-operator.local/pause:1"
	// cgroup is the control group that the kubelet puts all Pods in.
	cgroup = "kubepods"
	// imageNamespace is where containerd keeps what belongs to Kubernetes.
	imageNamespace = "k8s.io"
)

var (
	nodeAddress       = netip.MustParseAddr("10.245.0.1")
	serviceCIDR       = netip.MustParsePrefix("10.96.0.0/16")
	kubernetesAddress = netip.MustParseAddr("10.96.0.1") // kube-apiserver takes the first of its service range
	dnsAddress        = netip.MustParseAddr("10.96.0.10")
	podCIDR           = netip.MustParsePrefix("10.244.0.0/22")
)

// layout says where everything of one cluster is: all below one directory.
type layout struct {
	dir string
}

func (l layout) path(elements ...string) string {
	return filepath.Join(append([]string{l.dir}, elements...)...)
}

func (l layout) pki() pki.Directory          { return pki.Directory(l.path("pki")) }
func (l layout) etcdPKI() pki.Directory      { return pki.Directory(l.path("pki", "etcd")) }
func (l layout) proxyPKI() pki.Directory     { return pki.Directory(l.path("pki", "front-proxy")) }
func (l layout) config(name string) string   { return l.path("config", name) }
func (l layout) cniConfig() string           { return l.path("config", "cni") }
func (l layout) cniState() string            { return l.path("cni") }
func (l layout) log(component string) string { return l.path("logs", component+".log") }
func (l layout) podLogs() string             { return l.path("pods") }
func (l layout) containerd() string          { return l.path("containerd") }
func (l layout) containerdSocket() string    { return l.path("containerd.sock") }
func (l layout) records() string             { return l.path("run") }
func (l layout) bin() string                 { return l.path("bin") }

// kubeconfig is the administrator's, which is for people too; those of components are among the configuration.
func (l layout) kubeconfig(user string) string {
	if user == admin {
		return l.path("kubeconfig")
	}
	return l.config(user + ".kubeconfig")
}

// machine is the record of the machine's state before the first start, to compare with and to go back to.
func (l layout) machine() string { return l.path("machine.json") }

// starting exists from the begin of a start until it has succeeded.
func (l layout) starting() string { return l.path("starting") }

// loaded remembers which image archives are in.
func (l layout) loaded() string { return l.path("loaded.json") }

func (l layout) exists() (bool, error) {
	_, err := os.Stat(l.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking for the cluster's directory: %w", err)
	}
	return true, nil
}
