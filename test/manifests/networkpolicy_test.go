package manifests

import (
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
)

// destination is something that a Pod may want to reach: an address and, where a Pod of the cluster has it, that Pod's labels
// and those of its namespace.
type destination struct {
	address        string
	port           int32
	protocol       corev1.Protocol
	pod, namespace map[string]string
}

var (
	spiderPod = map[string]string{"scrapethis.app/spiderjob": "books-1", "team": "data"}

	kubeSystem = map[string]string{"kubernetes.io/metadata.name": "kube-system"}
	kubeDNS    = map[string]string{"k8s-app": "kube-dns"}
)

// TestSpidersCannotReachTheClustersAddresses checks what spiders reach with the policy and what they do not, by what
// NetworkPolicies mean: the cluster that the tests have does not enforce them.
func TestSpidersCannotReachTheClustersAddresses(t *testing.T) {
	world := destination{address: "203.0.113.7", port: 443}
	dns := destination{address: "10.244.0.2", port: 53, protocol: corev1.ProtocolUDP, pod: kubeDNS, namespace: kubeSystem}
	dnsOverTCP, otherPort, otherProtocol, impostor := dns, dns, dns, dns
	dnsOverTCP.protocol = corev1.ProtocolTCP
	otherPort.port = 9153
	otherProtocol.protocol = corev1.ProtocolSCTP
	impostor.namespace = map[string]string{"kubernetes.io/metadata.name": "shop"}
	world6 := destination{address: "2001:db8::1", port: 443}
	proxies := map[string]string{"kubernetes.io/metadata.name": "proxies"}

	reached := func(more ...string) map[string]bool {
		set := map[string]bool{}
		for _, name := range append(more, "the world", "DNS", "DNS over TCP") {
			set[name] = true
		}
		return set
	}
	destinations := map[string]destination{
		"the world":                  world,
		"the world by IPv6":          world6,
		"DNS":                        dns,
		"DNS over TCP":               dnsOverTCP,
		"another port of DNS":        otherPort,
		"another protocol of DNS":    otherProtocol,
		"a Pod that looks like DNS":  impostor,
		"kube-apiserver's Service":   {address: "10.96.0.1", port: 443},
		"another tenant's Pod":       {address: "10.244.3.4", port: 8080, namespace: map[string]string{"team": "news"}},
		"a node's kubelet":           {address: "192.168.7.9", port: 10250},
		"metadata of the cloud":      {address: "169.254.169.254", port: 80},
		"metadata by IPv6":           {address: "fd00:ec2::254", port: 80},
		"a neighbour's link address": {address: "fe80::1", port: 80},
		"a Pod by IPv6":              {address: "fd12:3456::7", port: 80},
		"a proxy in the cluster":     {address: "10.244.9.9", port: 3128, namespace: proxies},
	}

	const cidrs = "10.244.0.0/16,10.96.0.0/12,192.168.0.0/16"
	chart := func(clusterCIDRs string, args ...string) []*unstructured.Unstructured {
		return mustTemplate(t, append(args, "--set", "spiderNetworkPolicy.enabled=true,spiderNetworkPolicy.namespaces={shop}",
			"--set", "spiderNetworkPolicy.clusterCIDRs={"+clusterCIDRs+"}")...)
	}
	tests := map[string]struct {
		objects []*unstructured.Unstructured
		reached map[string]bool
	}{
		"chart":              {chart(cidrs), reached()},
		"chart, dual stack":  {chart(cidrs + ",fd12:3456::/48"), reached("the world by IPv6")},
		"config":             {kustomize(t, "spider-network-policy"), reached()},
		"chart, extra rules": {chart(cidrs, "--values", chartDir+"/ci/full-values.yaml"), reached("a proxy in the cluster")},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			policies := spiderPolicies(t, test.objects)
			if len(policies) == 0 {
				t.Fatal("no policy selects a spider's Pod")
			}
			for name, to := range destinations {
				if got := allowed(t, policies, to); got != test.reached[name] {
					t.Errorf("%s: reached: %t, want %t", name, got, test.reached[name])
				}
			}
		})
	}
}

// TestEachNamespaceHasItsPolicyForSpiders checks that there is a policy for each namespace that is named, or for each that is
// watched if none is named, and that it is about spiders alone.
func TestEachNamespaceHasItsPolicyForSpiders(t *testing.T) {
	for namespaces, args := range map[string][]string{
		"a b": {"--set", "watchNamespaces={a,b}"},
		"c":   {"--set", "watchNamespaces={a,b},spiderNetworkPolicy.namespaces={c}"},
		"":    {"--set", "spiderNetworkPolicy.enabled=false,watchNamespaces={a}"},
	} {
		var got string
		args = append([]string{"--set", "spiderNetworkPolicy.enabled=true,spiderNetworkPolicy.clusterCIDRs={10.0.0.0/8}"}, args...)
		for _, policy := range typed[networkingv1.NetworkPolicy](t, ofKind(mustTemplate(t, args...), "NetworkPolicy")) {
			if got != "" {
				got += " "
			}
			got += policy.Namespace
			if selects(t, &policy.Spec.PodSelector, map[string]string{"app": "shop"}) {
				t.Errorf("%v: it is about other Pods too: %v", args, policy.Spec.PodSelector)
			}
		}
		if got != namespaces {
			t.Errorf("%v: policies in %q, want %q", args, got, namespaces)
		}
	}
}

// spiderPolicies are the NetworkPolicies among objects that a spider's Pod is held to when it sends.
func spiderPolicies(t *testing.T, objects []*unstructured.Unstructured) []*networkingv1.NetworkPolicy {
	t.Helper()
	var policies []*networkingv1.NetworkPolicy
	seen := map[string]bool{}
	for _, policy := range typed[networkingv1.NetworkPolicy](t, ofKind(objects, "NetworkPolicy")) {
		for _, kind := range policy.Spec.PolicyTypes {
			if kind == networkingv1.PolicyTypeEgress && selects(t, &policy.Spec.PodSelector, spiderPod) && !seen[policy.Name] {
				seen[policy.Name] = true // the same for every namespace
				policies = append(policies, policy)
			}
		}
	}
	return policies
}

// allowed reports whether one of the policies lets a connection through, as NetworkPolicies are documented to mean.
func allowed(t *testing.T, policies []*networkingv1.NetworkPolicy, to destination) bool {
	t.Helper()
	for _, policy := range policies {
		for _, rule := range policy.Spec.Egress {
			if portAllowed(rule.Ports, to) && peerAllowed(t, rule.To, to) {
				return true
			}
		}
	}
	return false
}

func portAllowed(ports []networkingv1.NetworkPolicyPort, to destination) bool {
	for _, port := range ports {
		protocol := to.protocol
		if protocol == "" {
			protocol = corev1.ProtocolTCP
		}
		if *port.Protocol == protocol && port.Port.IntVal == to.port {
			return true
		}
	}
	return len(ports) == 0
}

func peerAllowed(t *testing.T, peers []networkingv1.NetworkPolicyPeer, to destination) bool {
	t.Helper()
	for _, peer := range peers {
		if block := peer.IPBlock; block != nil {
			if within(t, block.CIDR, to.address) && !withinAny(t, block.Except, to.address) {
				return true
			}
			continue
		}
		if to.namespace != nil && selects(t, peer.NamespaceSelector, to.namespace) &&
			(peer.PodSelector == nil || selects(t, peer.PodSelector, to.pod)) {
			return true
		}
	}
	return len(peers) == 0
}

func selects(t *testing.T, selector *metav1.LabelSelector, of map[string]string) bool {
	t.Helper()
	parsed, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		t.Fatal(err)
	}
	return parsed.Matches(labels.Set(of))
}

func withinAny(t *testing.T, cidrs []string, address string) bool {
	t.Helper()
	for _, cidr := range cidrs {
		if within(t, cidr, address) {
			return true
		}
	}
	return false
}

func within(t *testing.T, cidr, address string) bool {
	t.Helper()
	prefix, err := netip.ParsePrefix(cidr)
	if err != nil {
		t.Fatal(err)
	}
	return prefix.Contains(netip.MustParseAddr(address))
}
