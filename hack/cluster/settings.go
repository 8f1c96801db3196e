package main

import (
	"bytes"
	"embed"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"text/template"

	"github.com/scrapethis/spider-operator/hack/internal/pki"
)

//go:embed config
var configFiles embed.FS

var templates = template.Must(template.New("").Option("missingkey=error").ParseFS(configFiles, "config/*"))

const (
	// authority is the name of the certificate authorities' files.
	authority = "ca"
	// admin is the user that may do everything, and the one people act as.
	admin = "admin"
	// frontProxy is the name by which aggregated APIs know kube-apiserver.
	frontProxy = "front-proxy-client"
)

// apiServer is where everything reaches kube-apiserver. It is an address of the machine's own that no other machine can route to.
var apiServer = fmt.Sprintf("https://%s:6443", nodeAddress)

// clients are the users of kube-apiserver, each with a kubeconfig; the names and groups are those that Kubernetes' own roles
// are bound to.
var clients = []pki.Request{
	{Name: admin, CommonName: "kubernetes-admin", Organizations: []string{"system:masters"}},
	{
		Name: "kube-controller-manager", CommonName: "system:kube-controller-manager",
		Names: []string{nodeName}, Addresses: ips("127.0.0.1"),
	},
	{
		Name: "kube-scheduler", CommonName: "system:kube-scheduler",
		Names: []string{nodeName}, Addresses: ips("127.0.0.1"),
	},
	{
		Name: "kubelet", CommonName: "system:node:" + nodeName, Organizations: []string{"system:nodes"},
		Names: []string{nodeName}, Addresses: ips("127.0.0.1"),
	},
	{Name: "kube-proxy", CommonName: "system:kube-proxy"},
	{Name: "coredns", CommonName: "system:coredns"},
}

var kubernetesServers = []pki.Request{
	{
		Name: "kube-apiserver", CommonName: "kube-apiserver",
		Names: []string{
			nodeName, "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
		},
		Addresses: ips("127.0.0.1", kubernetesAddress.String(), nodeAddress.String()),
	},
	{Name: "kube-apiserver-kubelet-client", CommonName: "kube-apiserver-kubelet-client", Organizations: []string{"system:masters"}},
}

// etcd has an authority of its own: with Kubernetes' any user's certificate would open it.
var etcdCertificates = []pki.Request{
	{Name: "server", CommonName: "etcd", Names: []string{nodeName}, Addresses: ips("127.0.0.1")},
	{Name: "client", CommonName: "kube-apiserver"},
}

// The front proxy is kube-apiserver where it passes a request on to an aggregated API. Whom that trusts may claim to be
// anybody, so it has an authority of its own too.
var frontProxyCertificates = []pki.Request{{Name: frontProxy, CommonName: frontProxy}}

func ips(addresses ...string) []net.IP {
	list := make([]net.IP, len(addresses))
	for i, a := range addresses {
		list[i] = net.ParseIP(a)
	}
	return list
}

// writeKeys makes the keys and certificates that are missing, and everybody's kubeconfig.
func writeKeys(l layout) error {
	if err := l.pki().Ensure(authority, append(clients, kubernetesServers...)); err != nil {
		return fmt.Errorf("making Kubernetes' certificates: %w", err)
	}
	if err := l.pki().EnsureKey("service-account"); err != nil {
		return fmt.Errorf("making the key of service-account tokens: %w", err)
	}
	if err := l.etcdPKI().Ensure(authority, etcdCertificates); err != nil {
		return fmt.Errorf("making etcd's certificates: %w", err)
	}
	if err := l.proxyPKI().Ensure(authority, frontProxyCertificates); err != nil {
		return fmt.Errorf("making the front proxy's certificates: %w", err)
	}
	for _, client := range clients {
		values := map[string]string{"Cluster": clusterName, "Server": apiServer, "User": client.Name}
		for key, path := range map[string]string{
			"CAData":          l.pki().Certificate(authority),
			"CertificateData": l.pki().Certificate(client.Name),
			"KeyData":         l.pki().Key(client.Name),
		} {
			content, err := os.ReadFile(path)
			if err != nil {
				return fmt.Errorf("making the kubeconfig of %s: %w", client.Name, err)
			}
			values[key] = base64.StdEncoding.EncodeToString(content)
		}
		if err := writeTemplate("kubeconfig.yaml", l.kubeconfig(client.Name), values); err != nil {
			return err
		}
	}
	return nil
}

// writeSettings writes the components' configuration files.
func writeSettings(l layout, cniPlugins, snapshotter string) error {
	values := map[string]string{
		"CA":                 l.pki().Certificate(authority),
		"CNIConfig":          l.cniConfig(),
		"CNIPlugins":         cniPlugins,
		"CNIState":           l.cniState(),
		"Containerd":         l.containerd(),
		"ContainerdSocket":   l.containerdSocket(),
		"DNSAddress":         dnsAddress.String(),
		"DNSKubeconfig":      l.kubeconfig("coredns"),
		"Isolation":          isolation,
		"Kubelet":            l.path("kubelet"),
		"KubeletCertificate": l.pki().Certificate("kubelet"),
		"KubeletKey":         l.pki().Key("kubelet"),
		"NodeAddress":        nodeAddress.String(),
		"NodeBridge":         nodeBridge,
		"NodeName":           nodeName,
		"PauseImage":         pauseImage,
		"PodBridge":          podBridge,
		"PodCIDR":            podCIDR.String(),
		"PodLogs":            l.podLogs(),
		"ProxyKubeconfig":    l.kubeconfig("kube-proxy"),
		"Snapshotter":        snapshotter,
	}
	for name, path := range map[string]string{
		"containerd.toml": l.config("containerd.toml"),
		"cni.conflist":    filepath.Join(l.cniConfig(), "10-spider-operator.conflist"),
		"kubelet.yaml":    l.config("kubelet.yaml"),
		"kube-proxy.yaml": l.config("kube-proxy.yaml"),
		"Corefile":        l.config("Corefile"),
		"dns.yaml":        l.config("dns.yaml"),
		"isolation.nft":   l.config("isolation.nft"),
	} {
		if err := writeTemplate(name, path, values); err != nil {
			return err
		}
	}
	return nil
}

// writeTemplate leaves a file alone that would not change: kube-proxy ends, to be started anew, when its own is touched.
func writeTemplate(name, path string, values map[string]string) error {
	var content bytes.Buffer
	if err := templates.ExecuteTemplate(&content, name, values); err != nil {
		return fmt.Errorf("filling in %s: %w", name, err)
	}
	if now, err := os.ReadFile(path); err == nil && bytes.Equal(now, content.Bytes()) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := os.WriteFile(path, content.Bytes(), 0o600); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}
