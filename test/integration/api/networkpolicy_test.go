package api

import (
	"os"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// TestSpiderNetworkPolicyIsAccepted checks that kube-apiserver accepts the NetworkPolicy for a tenant's spiders, and that it
// selects what the controller labels as a spider's Pod. test/manifests tests what it lets through.
func TestSpiderNetworkPolicyIsAccepted(t *testing.T) {
	text, err := os.ReadFile("../../../config/spider-network-policy/network_policy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var policy networkingv1.NetworkPolicy
	if err := yaml.UnmarshalStrict(text, &policy); err != nil {
		t.Fatal(err)
	}
	policy.Namespace = cluster.Namespace(t)
	create(t, &policy)
	selector, err := metav1.LabelSelectorAsSelector(&policy.Spec.PodSelector)
	if err != nil {
		t.Fatal(err)
	}
	if !selector.Matches(labels.Set{v1alpha1.LabelSpiderJob: "books-1"}) || selector.Matches(labels.Set{"app": "shop"}) {
		t.Errorf("the policy selects the Pods with %s", selector)
	}
}
