package system

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/hack/internal/checkout"
	"github.com/scrapethis/spider-operator/hack/internal/command"
	"github.com/scrapethis/spider-operator/hack/load/measure"
)

//go:embed stages.yaml
var stages string

// AddNodes starts kube-scheduler and KWOK, and adds n nodes whose Pods run for podTime.
func (s *System) AddNodes(ctx context.Context, n int, podTime time.Duration) error {
	measure.Say("starting kube-scheduler and %d nodes of KWOK (the first time builds it)", n)
	root, err := checkout.Root("")
	if err != nil {
		return err
	}
	kwok, err := command.Output(command.In(ctx, filepath.Join(root, "hack", "kwok"), nil, "go", "tool", "-n", "kwok"))
	if err != nil {
		return fmt.Errorf("build KWOK: %w", err)
	}
	config := filepath.Join(s.directory, "kwok.yaml")
	content := strings.ReplaceAll(stages, "RUN_MILLISECONDS", strconv.FormatInt(podTime.Milliseconds(), 10))
	if err := os.WriteFile(config, []byte(content), 0o600); err != nil {
		return fmt.Errorf("write KWOK's stages: %w", err)
	}
	_, err = s.run(ctx, scheduler, filepath.Join(s.Assets, scheduler), "--kubeconfig="+s.Kubeconfig, "--leader-elect=false",
		"--secure-port=0", "--kube-api-qps=2000", "--kube-api-burst=4000")
	if err != nil {
		return err
	}
	// KWOK does not limit its own requests.
	_, err = s.run(ctx, "kwok", kwok, "--kubeconfig="+s.Kubeconfig, "--config="+config)
	if err != nil {
		return err
	}
	for i := range n {
		if err := s.addNode(ctx, fmt.Sprintf("node-%03d", i)); err != nil {
			return err
		}
	}
	return nil
}

func (s *System) addNode(ctx context.Context, name string) error {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if err := s.Create(ctx, node); err != nil {
		return err
	}
	// Admission taints a new node as not ready, and no node controller runs that would remove the taint.
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"taints":null}}`))
	if err := s.Client.Patch(ctx, node, patch); err != nil {
		return fmt.Errorf("untaint node %s: %w", name, err)
	}
	return nil
}
