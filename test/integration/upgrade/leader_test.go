package upgrade

import (
	"context"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/controllers"
	"github.com/scrapethis/spider-operator/test/integration/controlplane"
)

const (
	// ownLease is a release's own Lease, and sharedLease the one that controllers shared before that.
	ownLease    = "shop.controller.scrapethis.app"
	sharedLease = "spider-operator-controller.scrapethis.app"
)

// TestControllersOfTwoVersionsNeverLeadAtOnce checks that during an upgrade, or its rollback, when the controllers of both
// versions run, one waits until the other has gone.
func TestControllersOfTwoVersionsNeverLeadAtOnce(t *testing.T) {
	before := previous(t)
	namespace := cluster.Namespace(t)
	electing := controllers.DefaultOptions()
	electing.LeaderElection, electing.LeaderElectionNamespace, electing.Lease = true, namespace, ownLease
	election := &electing.Config.LeaderElection
	election.LeaseDuration.Duration, election.RenewDeadline.Duration, election.RetryPeriod.Duration = 4*time.Second, 3*time.Second, 500*time.Millisecond
	flags := []string{
		"--leader-elect", "--leader-elect-namespace=" + namespace, "--leader-elect-lease-duration=4s",
		"--leader-elect-renew-deadline=3s",
		"--leader-elect-retry-period=500ms",
	}
	older := func(who string) bool { return who != "" && !strings.HasPrefix(who, "lease/") }
	holders := func(ctx context.Context) (own, shared string, err error) {
		if own, err = holder(ctx, namespace, ownLease); err == nil {
			shared, err = holder(ctx, namespace, sharedLease)
		}
		if err == nil && own != "" && older(shared) {
			t.Errorf("%s leads, and of the older version %s does", own, shared)
		}
		return own, shared, err
	}
	olderLeads := func(what string) {
		controlplane.Eventually(t, what, func(ctx context.Context) (bool, error) {
			_, shared, err := holders(ctx)
			return older(shared), err
		})
	}
	newerLeads := func(what string) {
		controlplane.Eventually(t, what, func(ctx context.Context) (bool, error) {
			own, shared, err := holders(ctx)
			return own != "" && shared == "lease/"+ownLease, err
		})
	}
	// still checks a condition while a second candidate tries several times.
	still := func(what string, leads func(own, shared string) bool) {
		t.Helper()
		for end := time.Now().Add(6 * time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
			own, shared, err := holders(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if !leads(own, shared) {
				t.Fatalf("%s, and now the release's own Lease is %q's, and the shared one %q's", what, own, shared)
			}
		}
	}

	stopOlder := before.run(t, flags, namespace)
	olderLeads("the older version leads")
	stopNewer := run(t, electing, namespace)
	still("the older version leads", func(own, shared string) bool { return own == "" && older(shared) })
	stopOlder()
	newerLeads("the newer version leads once the older has gone")
	stopAgain := before.run(t, flags, namespace)
	still("the newer version leads", func(own, shared string) bool { return own != "" && !older(shared) })
	stopNewer()
	olderLeads("the older version leads after the upgrade was taken back")
	stopAgain()
}

// holder returns the holder of a Lease, empty for none.
func holder(ctx context.Context, namespace, name string) (string, error) {
	lease := &coordinationv1.Lease{}
	if err := cluster.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, lease); err != nil {
		return "", client.IgnoreNotFound(err)
	}
	return ptr.Deref(lease.Spec.HolderIdentity, ""), nil
}
