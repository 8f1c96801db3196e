package main

import (
	"fmt"
	"net/netip"
	"os"

	"github.com/scrapethis/spider-operator/hack/internal/machine"
	"github.com/scrapethis/spider-operator/hack/internal/process"
)

// component is one long-running program of the cluster.
type component struct {
	name    string
	program string
	args    []string
	// settings are the files it reads only when it starts.
	settings []string
	listens  []netip.AddrPort
	// ready is the URL that answers 200 when the component serves; a file path stands for the socket of a container runtime that
	// answers.
	ready string
}

// components are all of them, in the order in which they are started.
func components(l layout, p programs, containerdProgram string) []component {
	kubernetes, etcd, proxy := l.pki(), l.etcdPKI(), l.proxyPKI()
	// controller is one of the two programs of the control plane that are clients of kube-apiserver.
	controller := func(name string, port uint16, ready string, args ...string) component {
		return component{
			name:    name,
			program: p.kubernetesComponent(name),
			args: append(args,
				"--kubeconfig="+l.kubeconfig(name),
				"--authentication-kubeconfig="+l.kubeconfig(name),
				"--authorization-kubeconfig="+l.kubeconfig(name),
				"--bind-address=127.0.0.1",
				"--tls-cert-file="+kubernetes.Certificate(name),
				"--tls-private-key-file="+kubernetes.Key(name),
				"--leader-elect=false",
			),
			settings: []string{l.kubeconfig(name)},
			listens:  loopback(port),
			ready:    fmt.Sprintf("https://127.0.0.1:%d/%s", port, ready),
		}
	}
	return []component{
		{
			name:    "etcd",
			program: p.kubernetesComponent("etcd"),
			args: []string{
				"--name=" + nodeName,
				"--data-dir=" + l.path("etcd"),
				"--listen-client-urls=https://127.0.0.1:2379",
				"--advertise-client-urls=https://127.0.0.1:2379",
				"--listen-peer-urls=https://127.0.0.1:2380",
				"--initial-advertise-peer-urls=https://127.0.0.1:2380",
				"--initial-cluster=" + nodeName + "=https://127.0.0.1:2380",
				"--listen-metrics-urls=http://127.0.0.1:2381",
				"--client-cert-auth", "--trusted-ca-file=" + etcd.Certificate(authority),
				"--cert-file=" + etcd.Certificate("server"), "--key-file=" + etcd.Key("server"),
				"--peer-client-cert-auth", "--peer-trusted-ca-file=" + etcd.Certificate(authority),
				"--peer-cert-file=" + etcd.Certificate("server"), "--peer-key-file=" + etcd.Key("server"),
				"--quota-backend-bytes=4294967296",
				"--log-level=warn",
				// What a killed process wrote is kept by the kernel; only a power cut would lose it, and with it a cluster that
				// is made anew in half a minute. Not waiting for the disk makes every write several times faster.
				"--unsafe-no-fsync",
			},
			listens: loopback(2379, 2380, 2381),
			ready:   "http://127.0.0.1:2381/readyz",
		},
		{
			name:    "kube-apiserver",
			program: p.kubernetesComponent("kube-apiserver"),
			args: []string{
				"--bind-address=" + nodeAddress.String(), "--advertise-address=" + nodeAddress.String(), "--secure-port=6443",
				"--etcd-servers=https://127.0.0.1:2379",
				"--etcd-cafile=" + etcd.Certificate(authority),
				"--etcd-certfile=" + etcd.Certificate("client"), "--etcd-keyfile=" + etcd.Key("client"),
				"--client-ca-file=" + kubernetes.Certificate(authority),
				"--tls-cert-file=" + kubernetes.Certificate("kube-apiserver"),
				"--tls-private-key-file=" + kubernetes.Key("kube-apiserver"),
				"--kubelet-certificate-authority=" + kubernetes.Certificate(authority),
				"--kubelet-client-certificate=" + kubernetes.Certificate("kube-apiserver-kubelet-client"),
				"--kubelet-client-key=" + kubernetes.Key("kube-apiserver-kubelet-client"),
				"--requestheader-client-ca-file=" + proxy.Certificate(authority),
				"--requestheader-allowed-names=" + frontProxy,
				"--requestheader-username-headers=X-Remote-User",
				"--requestheader-group-headers=X-Remote-Group",
				"--requestheader-extra-headers-prefix=X-Remote-Extra-",
				"--proxy-client-cert-file=" + proxy.Certificate(frontProxy),
				"--proxy-client-key-file=" + proxy.Key(frontProxy),
				"--kubelet-preferred-address-types=Hostname",
				"--service-cluster-ip-range=" + serviceCIDR.String(),
				"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
				"--service-account-key-file=" + kubernetes.Key("service-account"),
				"--service-account-signing-key-file=" + kubernetes.Key("service-account"),
				"--authorization-mode=Node,RBAC",
				"--enable-admission-plugins=NodeRestriction",
				"--event-ttl=1h",
			},
			listens: []netip.AddrPort{netip.AddrPortFrom(nodeAddress, 6443)},
			ready:   apiServer + "/readyz",
		},
		controller("kube-controller-manager", 10257, "healthz",
			"--use-service-account-credentials",
			"--service-account-private-key-file="+kubernetes.Key("service-account"),
			"--root-ca-file="+kubernetes.Certificate(authority),
			"--cluster-signing-cert-file="+kubernetes.Certificate(authority),
			"--cluster-signing-key-file="+kubernetes.Key(authority),
			"--service-cluster-ip-range="+serviceCIDR.String(),
			// Never used; the default is a place outside the cluster's directory, which it would make.
			"--flex-volume-plugin-dir="+l.path("kubelet", "volume-plugins"),
		),
		controller("kube-scheduler", 10259, "readyz"),
		{
			name:     "containerd",
			program:  containerdProgram,
			args:     []string{"--config=" + l.config("containerd.toml")},
			settings: []string{l.config("containerd.toml")},
			ready:    l.containerdSocket(),
		},
		{
			name:    "kubelet",
			program: p.kubernetesComponent("kubelet"),
			args: []string{
				"--config=" + l.config("kubelet.yaml"),
				"--kubeconfig=" + l.kubeconfig("kubelet"),
				"--root-dir=" + l.path("kubelet"),
				"--cert-dir=" + l.path("kubelet", "pki"),
				"--hostname-override=" + nodeName,
				"--node-ip=" + nodeAddress.String(),
			},
			settings: []string{l.config("kubelet.yaml"), l.kubeconfig("kubelet")},
			listens:  loopback(10248, 10250),
			ready:    "http://127.0.0.1:10248/healthz",
		},
		{
			name:     "kube-proxy",
			program:  p.kubernetesComponent("kube-proxy"),
			args:     []string{"--config=" + l.config("kube-proxy.yaml")},
			settings: []string{l.config("kube-proxy.yaml"), l.kubeconfig("kube-proxy")},
			listens:  loopback(10249, 10256),
			ready:    "http://127.0.0.1:10256/livez",
		},
		{
			name:     "coredns",
			program:  p.dns(),
			args:     []string{"-conf=" + l.config("Corefile")},
			settings: []string{l.config("Corefile"), l.kubeconfig("coredns")},
			listens:  append(loopback(10253, 10254), netip.AddrPortFrom(nodeAddress, 53)),
			ready:    "http://127.0.0.1:10254/ready",
		},
	}
}

func loopback(ports ...uint16) []netip.AddrPort {
	addresses := make([]netip.AddrPort, len(ports))
	for i, port := range ports {
		addresses[i] = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)
	}
	return addresses
}

// spec is how the component is started, with what is in its settings files now.
func (c component) spec(l layout) (process.Spec, error) {
	s := process.Spec{
		Name: c.name,
		Path: c.program,
		Args: c.args,
		Env: []string{
			"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
			machine.Marker + "=" + l.dir,
		},
	}
	for _, path := range c.settings {
		content, err := os.ReadFile(path)
		if err != nil {
			return process.Spec{}, fmt.Errorf("reading the settings of %s: %w", c.name, err)
		}
		s.Settings = append(s.Settings, string(content))
	}
	return s, nil
}
