package lifecycle

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/test/integration/lifecycle/node"
)

// onANodeWithoutLogs gives the namespace's Pods a node of their own, whose logs hang.
func (s *stage) onANodeWithoutLogs() {
	s.Helper()
	name := "mute-" + s.namespace
	mute, err := node.Start(cluster.Config, name)
	if err != nil {
		s.Fatalf("start a node: %v", err)
	}
	s.Cleanup(func() {
		mute.Stop()
		err := cluster.Client.Delete(context.Background(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}})
		if client.IgnoreNotFound(err) != nil {
			s.Errorf("delete node %s: %v", name, err)
		}
	})
	mute.MuteLogs(s.namespace)
	s.node = mute
}

// TestANodeWhoseLogsHangDelaysNoOthers has the logs of one node hang. Runs that ended there end unverified, without waiting
// for each other; a run that failed elsewhere is reported as failed, since its log is read without delay.
func TestANodeWhoseLogsHangDelaysNoOthers(t *testing.T) {
	t.Parallel()
	const (
		ended = 24 // more than are read at once
		// within is a read's time limit of 10 s, plus the short time that the node's others take once three have hung.
		within = 20 * time.Second
	)
	bad, good := newStage(t), newStage(t)
	bad.onANodeWithoutLogs()
	bad.spider(quickCrawl(7))
	good.spider(func(p *node.Process) node.Exit {
		progress(p, 4)
		<-closed(time.After(brief))
		dump(p, 4, "closespider_errorcount")
		return node.Exit{}
	})
	bad.options.Namespaces = []string{bad.namespace, good.namespace}
	bad.controller()
	for _, name := range names("run", ended) {
		bad.job(name)
	}
	bad.eventually("all of them have ended", func() bool {
		runs := bad.node.Runs(bad.namespace)
		for _, run := range runs {
			if !run.Ended {
				return false
			}
		}
		return len(runs) == ended
	})
	since := time.Now()
	good.job("failed")
	st := good.awaitEnd("failed").Status
	if st.Phase != v1alpha1.PhaseError || st.Reason != v1alpha1.ReasonSpiderFailed || !st.Stats.Final {
		t.Errorf("a spider that closed because of its errors ended as %s", describe(&st))
	}
	if took := time.Since(since); took > seconds {
		t.Errorf("its end was recorded after %s", took)
	}
	named := 0
	for i := range ended {
		st := bad.awaitEnd(fmt.Sprintf("run-%d", i)).Status
		if st.Phase != v1alpha1.PhaseFinished || st.Reason != v1alpha1.ReasonCompletedUnverified {
			t.Errorf("a run whose log cannot be read ended as %s", describe(&st))
		}
		if strings.Contains(st.Message, bad.node.Name()) {
			named++
		}
	}
	if took := time.Since(since); took > within {
		t.Errorf("the ends of what ran on the node were recorded after %s, want %s", took, within)
	}
	if named < ended-8 {
		t.Errorf("%d of %d messages name the node", named, ended)
	}
}
