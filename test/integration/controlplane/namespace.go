package controlplane

import (
	"bytes"
	"context"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

const (
	// pollInterval is how often a condition is checked.
	pollInterval = 20 * time.Millisecond
	// eventually bounds how long such a condition may take. A passing test never reaches it.
	eventually = 30 * time.Second
)

// Namespace creates a namespace for one test, in which Pods can be created at once, and deletes it when the test ends.
func (c *ControlPlane) Namespace(t testing.TB) string {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}
	if err := c.Client.Create(t.Context(), namespace); err != nil {
		t.Fatalf("create a namespace: %v", err)
	}
	t.Cleanup(func() {
		// The test's own context is done by now.
		if err := c.Client.Delete(context.Background(), namespace); client.IgnoreNotFound(err) != nil {
			t.Errorf("delete namespace %s: %v", namespace.Name, err)
		}
	})
	Eventually(t, "the namespace has its default service account", func(ctx context.Context) (bool, error) {
		err := c.Client.Get(ctx, client.ObjectKey{Namespace: namespace.Name, Name: "default"}, &corev1.ServiceAccount{})
		return err == nil, client.IgnoreNotFound(err)
	})
	return namespace.Name
}

// Eventually waits until the condition holds. The test fails if it returns an error, or does not hold within half a minute.
func Eventually(t testing.TB, what string, condition wait.ConditionWithContextFunc) {
	t.Helper()
	if err := wait.PollUntilContextTimeout(t.Context(), pollInterval, eventually, true, condition); err != nil {
		t.Fatalf("wait until %s: %v", what, err)
	}
}

// User returns the configuration of a client that connects as the user of that name, who may do only what RBAC grants to them
// and to the groups.
func (c *ControlPlane) User(t testing.TB, name string, groups ...string) *rest.Config {
	t.Helper()
	user, err := c.environment.AddUser(envtest.User{Name: name, Groups: groups}, c.Config)
	if err != nil {
		t.Fatalf("add user %s: %v", name, err)
	}
	return user.Config()
}

// Kubectl runs kubectl as the administrator and returns what it prints.
func (c *ControlPlane) Kubectl(t testing.TB, arguments ...string) string {
	t.Helper()
	var stderr bytes.Buffer
	kubectl := filepath.Join(c.Assets, "kubectl")
	command := exec.CommandContext(t.Context(), kubectl, append([]string{"--kubeconfig=" + c.Kubeconfig}, arguments...)...)
	command.Stderr = &stderr
	output, err := command.Output()
	if err != nil {
		t.Fatalf("kubectl %q: %v\n%s", arguments, err, stderr.String())
	}
	return string(output)
}
