package controllers

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	coordinationv1client "k8s.io/client-go/kubernetes/typed/coordination/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"
)

const (
	// defaultLease is the default name of the Lease: that of a release called spider-operator.
	defaultLease = "spider-operator.controller.scrapethis.app"
	// sharedLease is the one Lease for which the controllers of all releases in a namespace competed before 0.1.0. A controller
	// holds it in addition to its own as long as a controller of that time may run beside it, as during an upgrade or its
	// rollback.
	sharedLease = "spider-operator-controller.scrapethis.app"
	// leasePrefix marks a holder of the shared Lease that leads by a Lease of its own, whose name follows. Host names contain no
	// slash.
	leasePrefix = "lease/"
)

// leaseLock is the lock of the leader election: the release's own Lease, and with it the shared one, so that no controller that
// knows only the shared Lease leads beside this one. If another release holds the shared Lease, the lock does not wait for it:
// meanwhile no older controller of this release can hold it.
type leaseLock struct {
	own, shared *resourcelock.LeaseLock
	host        string
	duration    time.Duration // how long a holder that does not renew a Lease is assumed to hold it
	clock       clock.PassiveClock
	log         *slog.Logger

	ownMissing, sharedMissing bool
	// foreign says that another release holds the shared Lease, in words that have not changed since foreignSince.
	foreign      bool
	foreignWords string
	foreignSince time.Time
	waitsFor     string
}

// newLeaseLock makes the lock. Its Events are recorded until stop is called.
func newLeaseLock(config *rest.Config, opts Options) (lock *leaseLock, stop func(), err error) {
	namespace := opts.LeaderElectionNamespace
	if namespace == "" {
		own, err := os.ReadFile("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
		if err != nil {
			return nil, nil, fmt.Errorf("outside a Pod, the namespace of the leader's Lease has to be named: %w", err)
		}
		namespace = string(own)
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, nil, fmt.Errorf("name the leader: %w", err)
	}
	config = rest.AddUserAgent(config, "leader-election")
	// So that one request that hangs does not end the lead.
	config.Timeout = max(opts.Config.LeaderElection.RenewDeadline.Duration/2, time.Second)
	clients, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, nil, fmt.Errorf("set up a client for the leader's Lease: %w", err)
	}
	lock = makeLeaseLock(clients.CoordinationV1(), namespace, host, opts)
	broadcaster := record.NewBroadcaster()
	broadcaster.StartRecordingToSink(&corev1client.EventSinkImpl{Interface: clients.CoreV1().Events(namespace)})
	lock.own.LockConfig.EventRecorder = broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: lock.Identity()})
	return lock, broadcaster.Shutdown, nil
}

func makeLeaseLock(leases coordinationv1client.LeasesGetter, namespace, host string, opts Options) *leaseLock {
	lock := func(name, identity string) *resourcelock.LeaseLock {
		return &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: namespace, Name: name},
			Client:     leases,
			LockConfig: resourcelock.ResourceLockConfig{Identity: identity},
		}
	}
	return &leaseLock{
		own: lock(opts.Lease, host+"_"+uuid.NewString()), shared: lock(sharedLease, leasePrefix+opts.Lease),
		host: host, duration: opts.Config.LeaderElection.LeaseDuration.Duration, clock: clock.RealClock{}, log: opts.Log,
	}
}

// Get implements resourcelock.Interface. If an older controller of this release holds the shared Lease, its record is added to
// that of the release's own Lease: the lock then counts as held until neither is renewed any more.
func (l *leaseLock) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	shared, sharedWords, err := l.lookAtShared(ctx)
	if err != nil {
		return nil, nil, err
	}
	if shared != nil && strings.HasPrefix(shared.HolderIdentity, leasePrefix) {
		l.foreign = false // Take it over at once: a holder that leads by its own Lease does not need it.
	}
	inTheWay := l.inTheWay(shared)
	if inTheWay && l.waitsFor != shared.HolderIdentity {
		l.waitsFor = shared.HolderIdentity
		l.log.Info("waiting for a controller of an earlier version to give up the shared Lease",
			"lease", l.shared.Describe(), "holder", l.waitsFor)
	}

	own, words, err := l.own.Get(ctx)
	l.ownMissing = apierrors.IsNotFound(err)
	switch {
	case err != nil && !l.ownMissing:
		return nil, nil, err
	case !inTheWay:
		return own, words, err
	case l.ownMissing || own.HolderIdentity == "" || own.HolderIdentity == l.Identity():
		return shared, sharedWords, nil
	}
	return own, append(words, sharedWords...), nil
}

// lookAtShared reads the shared Lease, nil if there is none, or if it has no holder.
func (l *leaseLock) lookAtShared(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	held, words, err := l.shared.Get(ctx)
	l.foreign, l.sharedMissing = false, apierrors.IsNotFound(err)
	if l.sharedMissing {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	if string(words) != l.foreignWords {
		l.foreignWords, l.foreignSince = string(words), l.clock.Now()
	}
	if held.HolderIdentity == "" {
		return nil, nil, nil
	}
	believed := l.duration
	if strings.HasPrefix(held.HolderIdentity, leasePrefix) {
		believed /= 2 // It leads by its own Lease. Older controllers, which wait longer, must not get hold of the shared one.
	}
	l.foreign = l.ofAnother(held) && l.clock.Since(l.foreignSince) < believed
	return held, words, nil
}

// inTheWay reports whether, as far as is known, an older controller of this release holds the shared Lease.
func (l *leaseLock) inTheWay(shared *resourcelock.LeaderElectionRecord) bool {
	return shared != nil && shared.HolderIdentity != l.shared.Identity() && !l.ofAnother(shared)
}

func (l *leaseLock) ofAnother(shared *resourcelock.LeaderElectionRecord) bool {
	return ofAnotherRelease(shared.HolderIdentity, l.shared.Identity(), l.host)
}

// Create implements resourcelock.Interface.
func (l *leaseLock) Create(ctx context.Context, next resourcelock.LeaderElectionRecord) error {
	if err := l.writeShared(ctx, next); err != nil {
		return err
	}
	return l.own.Create(ctx, next)
}

// Update implements resourcelock.Interface.
func (l *leaseLock) Update(ctx context.Context, next resourcelock.LeaderElectionRecord) error {
	if l.foreign {
		shared, _, err := l.lookAtShared(ctx)
		if err != nil {
			return err
		}
		if l.inTheWay(shared) {
			return fmt.Errorf("lease %s is held by %s", l.shared.Describe(), shared.HolderIdentity)
		}
	}
	if err := l.writeShared(ctx, next); err != nil {
		return err
	}
	if l.ownMissing {
		return l.own.Create(ctx, next)
	}
	return l.own.Update(ctx, next)
}

// writeShared takes or renews the shared Lease, unless another release holds it.
func (l *leaseLock) writeShared(ctx context.Context, next resourcelock.LeaderElectionRecord) error {
	if l.foreign || next.HolderIdentity == "" {
		// When it expires, a controller of this version, or of another release, gets it before one that knows no other Lease.
		return nil
	}
	next.HolderIdentity = l.shared.Identity()
	if l.sharedMissing {
		if err := l.shared.Create(ctx, next); err != nil {
			return err
		}
		l.sharedMissing = false
		return nil
	}
	return l.shared.Update(ctx, next)
}

// RecordEvent implements resourcelock.Interface.
func (l *leaseLock) RecordEvent(words string) { l.own.RecordEvent(words) }

// Identity implements resourcelock.Interface.
func (l *leaseLock) Identity() string { return l.own.Identity() }

// Describe implements resourcelock.Interface.
func (l *leaseLock) Describe() string { return l.own.Describe() }

// ofAnotherRelease reports whether the holder of the shared Lease is certainly not a controller of this release, which has an
// identity of its own there and runs on the host.
func ofAnotherRelease(holder, identity, host string) bool {
	if strings.HasPrefix(holder, leasePrefix) {
		return holder != identity
	}
	theirs, ours := deploymentOf(strings.SplitN(holder, "_", 2)[0]), deploymentOf(host)
	return theirs != "" && ours != "" && theirs != ours
}

// deploymentOf returns the name of a Pod's Deployment: a Pod's name is that, the ReplicaSet's hash and five characters. It is
// empty for other names, as on the host's network.
func deploymentOf(pod string) string {
	parts := strings.Split(pod, "-")
	n := len(parts) - 2
	if n < 1 || len(parts[n+1]) != 5 || parts[n] == "" {
		return ""
	}
	return strings.Join(parts[:n], "-")
}
