package simulated

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// SyncPods lets the kubelet of a node come to each of its Pods once: it starts and stops containers, and makes at most one write
// for each Pod. It reports whether anything was done.
func (c *Cluster) SyncPods(n *Node) bool {
	if n.State != Up || n.Deleted {
		return false
	}
	acted := false
	c.as("the kubelet of node "+n.Name, func() {
		for _, l := range n.pods {
			if !l.removed && c.syncPod(n, l) {
				acted = true
			}
		}
	})
	return acted
}

func (c *Cluster) syncPod(n *Node, l *local) bool {
	pod := c.Pod(l.uid)
	if pod == nil {
		return c.forgotten(n, l)
	}
	if !podEnded(pod) || !l.stopped() {
		c.stopIfTold(n, pod, l)
		c.advance(n, pod, l)
		if c.report(n, pod, l) {
			return true
		}
	}
	if pod = c.Pod(l.uid); l.stopped() && podEnded(pod) && pod.DeletionTimestamp != nil {
		// The kubelet's last deletion, once all containers have ended and the status says so. The Pod may still be held by a
		// finalizer.
		if *pod.DeletionGracePeriodSeconds == 0 {
			return false
		}
		zero, uid := int64(0), pod.UID
		c.tell("the kubelet of node %s has done with Pod %s", n.Name, pod.Name)
		_ = c.Delete(Pods, pod.Namespace, pod.Name, metav1.DeleteOptions{
			GracePeriodSeconds: &zero, Preconditions: &metav1.Preconditions{UID: &uid},
		})
		return true
	}
	return false
}

// forgotten stops what is left of a Pod that is gone from kube-apiserver.
func (c *Cluster) forgotten(n *Node, l *local) bool {
	acted := false
	for _, ct := range l.containers {
		if ct.proc != nil && ct.proc.Running() && !ct.killed {
			c.tell("node %s stops container %s of Pod %s, which is gone", n.Name, ct.name, ct.proc.PodName)
			ct.proc.signal(30*time.Second, "its Pod is gone")
			ct.killed, acted = true, true
		}
	}
	l.killing = "its Pod is gone"
	l.removed = l.stopped()
	return acted
}

// stopped reports whether no container runs, and none will be started.
func (l *local) stopped() bool {
	over := l.killing != ""
	for _, ct := range l.containers {
		if ct.proc != nil && ct.proc.Running() {
			return false
		}
	}
	return over || l.through()
}

// through reports whether the Pod has come to its end: all ordinary containers have ended, or an init container has failed.
func (l *local) through() bool {
	if l.initFailed() {
		return true
	}
	for _, ct := range l.containers {
		if (ct.kind == Spider || ct.kind == Ordinary) && !ct.ended() {
			return false
		}
	}
	return true
}

func (ct *container) ended() bool { return ct.made != "" || ct.proc != nil && !ct.proc.Running() }

func (l *local) initFailed() bool {
	return slices.ContainsFunc(l.containers, func(ct *container) bool { return ct.kind == Init && ct.ended() && ct.proc.exit != 0 })
}

// stopIfTold signals containers to end if the Pod is deleted, evicted, or over its own deadline.
func (c *Cluster) stopIfTold(n *Node, pod *corev1.Pod, l *local) {
	grace := 30 * time.Second
	if s := pod.Spec.TerminationGracePeriodSeconds; s != nil {
		grace = time.Duration(max(*s, 1)) * time.Second
	}
	why := ""
	deadline := pod.Spec.ActiveDeadlineSeconds
	switch {
	case l.evicted != nil:
		why, grace = "evicted", 2*time.Second // the least that killContainer gives
		switch {
		case l.evicted.reason == "DeadlineExceeded":
			why = "over its deadline"
		case !l.evicted.disruption:
			why = OwnStorage
		}
		if l.evicted.disruption && !disrupted(pod) {
			modify(c, Pods, pod, func(p *corev1.Pod) { c.setDisrupted(p, "TerminationByKubelet", l.evicted.message) })
		}
	case pod.DeletionTimestamp != nil:
		why, grace = "deleted", time.Duration(max(*pod.DeletionGracePeriodSeconds, 1))*time.Second
	case deadline != nil && pod.Status.StartTime != nil &&
		n.now().Sub(pod.Status.StartTime.Time) >= time.Duration(*deadline)*time.Second:
		why = "over its deadline"
		l.evicted = &eviction{reason: "DeadlineExceeded", message: "Pod was active on the node longer than the specified deadline"}
	}
	shorter := l.killing != "" && grace < l.grace && why == "deleted"
	if why == "" || l.killing != "" && !shorter {
		return
	}
	l.killing, l.grace = why, grace
	for _, ct := range l.containers {
		c.kill(pod, ct, grace, why)
	}
}

func (c *Cluster) kill(pod *corev1.Pod, ct *container, grace time.Duration, why string) {
	if ct.proc == nil || !ct.proc.Running() {
		return
	}
	if !ct.killed {
		path := "spec.containers{" + ct.name + "}"
		if ct.kind == Native || ct.kind == Init {
			path = "spec.initContainers{" + ct.name + "}"
		}
		c.event(pod, "Pod", path, corev1.EventTypeNormal, "Killing", "Stopping container "+ct.name)
		c.tell("container %s of Pod %s is told to end (%s), within %s", ct.name, pod.Name, why, grace)
	}
	ct.killed = true
	ct.proc.signal(grace, why)
}

// advance starts what can be started now.
func (c *Cluster) advance(n *Node, pod *corev1.Pod, l *local) {
	if !l.told || l.killing != "" {
		return
	}
	if l.through() {
		for _, ct := range l.containers {
			if ct.kind == Native && ct.proc != nil {
				c.kill(pod, ct, 30*time.Second, "its Pod has come to its end")
			}
		}
		return
	}
	now := time.Now()
	if now.Before(l.script.Unmountable) {
		if now.Sub(l.reported) > 2*time.Minute {
			l.reported = now
			c.event(pod, "Pod", "", corev1.EventTypeWarning, "FailedMount", l.script.MountMessage)
		}
		return
	}
	for _, ct := range l.containers {
		if ct.proc == nil && ct.made == "" && !now.Before(ct.script.Ready) {
			ct.starts++
			ct.proc = c.start(n, pod, ct.name, ct.kind, ct.script, ct.starts)
		}
		switch ct.kind {
		case Init:
			if !ct.ended() || ct.proc.exit != 0 {
				return
			}
		case Native:
			if ct.proc == nil {
				return
			}
			if ct.ended() && ct.made == "" {
				ct.starts++
				ct.proc = c.start(n, pod, ct.name, ct.kind, ct.script, ct.starts) // restartPolicy Always
			}
		case Spider, Ordinary:
		}
	}
}

// report writes the Pod's status where it has changed.
func (c *Cluster) report(n *Node, pod *corev1.Pod, l *local) bool {
	l.told = true
	before, shown := pod, n.brief(l)
	if shown == l.shown && pod.Status.Phase != "" {
		return false
	}
	l.shown = shown
	if podEnded(pod) {
		return false
	}
	set(c, Pods, pod, func(p *corev1.Pod) {
		st := &p.Status
		if st.StartTime == nil {
			now := n.now()
			st.StartTime = &now
		}
		st.ContainerStatuses, st.InitContainerStatuses = nil, nil
		for _, ct := range l.containers {
			status := corev1.ContainerStatus{
				Name:         ct.name,
				State:        n.state(l, ct),
				RestartCount: int32(max(ct.starts-1, 0)), //nolint:gosec // few
			}
			if ct.proc != nil {
				status.ContainerID = fmt.Sprintf("containerd://%s-%s-%d", pod.UID, ct.name, ct.starts)
				status.ImageID = "sha256:abc"
			}
			if ct.kind == Spider || ct.kind == Ordinary {
				st.ContainerStatuses = append(st.ContainerStatuses, status)
			} else {
				st.InitContainerStatuses = append(st.InitContainerStatuses, status)
			}
		}
		st.Phase = l.phase()
		if podEnded(p) && l.evicted != nil {
			st.Phase, st.Reason, st.Message = corev1.PodFailed, l.evicted.reason, l.evicted.message
		}
	})
	if c.Tell != nil {
		c.tellPod(before, c.Pod(l.uid))
	}
	return true
}

// brief is what the status of a Pod depends on.
func (n *Node) brief(l *local) string {
	var b [16]byte
	brief := append(b[:0], l.phase()...)
	for _, ct := range l.containers {
		brief = append(brief, '|')
		switch {
		case ct.made != "" || ct.proc == nil && l.killing != "":
			brief = append(brief, 'm')
		case ct.proc == nil:
			w := n.waits(l, ct)
			brief = append(brief, w.Reason...)
		case ct.proc.Running():
			brief = fmt.Appendf(brief, "r%d", ct.starts)
		default:
			brief = fmt.Appendf(brief, "e%d", ct.starts)
		}
	}
	return string(brief)
}

// tellPod tells the story line of a kubelet's new report.
func (c *Cluster) tellPod(before, after *corev1.Pod) {
	if after == nil {
		c.tell("Pod %s is gone", before.Name)
		return
	}
	was := SpiderState(before)
	is := SpiderState(after)
	switch {
	case was.Terminated == nil && is.Terminated != nil:
		c.tell("its kubelet reports that the spider of Pod %s ended with %d (%s); Pod %s",
			after.Name, is.Terminated.ExitCode, is.Terminated.Reason, after.Status.Phase)
	case was.Running == nil && is.Running != nil:
		c.tell("its kubelet reports that the spider of Pod %s runs; Pod %s", after.Name, after.Status.Phase)
	case before.Status.Phase != after.Status.Phase:
		c.tell("its kubelet reports that Pod %s is %s %s", after.Name, after.Status.Phase, after.Status.Reason)
	}
}

// SpiderState is what a Pod's status says of the spider's container.
func SpiderState(pod *corev1.Pod) corev1.ContainerState {
	for i := range pod.Status.ContainerStatuses {
		if pod.Status.ContainerStatuses[i].Name == v1alpha1.ContainerName {
			return pod.Status.ContainerStatuses[i].State
		}
	}
	return corev1.ContainerState{}
}

// phase is getPhase of kubelet_pods.go. A terminal phase is reported only once nothing of the Pod runs.
func (l *local) phase() corev1.PodPhase {
	var waiting, running, failed, succeeded int
	for _, ct := range l.containers {
		if ct.kind == Init && !ct.ended() {
			waiting++
		}
		if ct.kind != Spider && ct.kind != Ordinary {
			continue
		}
		switch {
		case ct.proc == nil && ct.made == "":
			waiting++
		case !ct.ended():
			running++
		case ct.made != "" || ct.proc.exit != 0:
			failed++
		default:
			succeeded++
		}
	}
	switch {
	case l.stopped() && (failed > 0 || waiting > 0):
		return corev1.PodFailed
	case l.stopped():
		return corev1.PodSucceeded
	case waiting > 0:
		return corev1.PodPending
	}
	return corev1.PodRunning
}

// state is what the kubelet reports of a container.
func (n *Node) state(l *local, ct *container) corev1.ContainerState {
	switch {
	case ct.made == "Unknown":
		return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ExitCode: 255, Reason: "Unknown", StartedAt: n.stamp(ct.proc.Started), FinishedAt: n.stamp(ct.finished),
		}}
	case ct.made != "":
		return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ExitCode: 137, Reason: "ContainerStatusUnknown",
			Message: "The container could not be located when the pod was terminated",
		}}
	case ct.proc == nil && l.killing != "":
		return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ExitCode: 137, Reason: "ContainerStatusUnknown",
			Message: "The container could not be located when the pod was deleted.  The container used to be Running",
		}}
	case ct.proc == nil:
		return corev1.ContainerState{Waiting: n.waits(l, ct)}
	case ct.proc.Running():
		return corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: n.stamp(ct.proc.Started)}}
	}
	p := ct.proc
	ended := &corev1.ContainerStateTerminated{
		ExitCode: p.exit, Reason: p.reason, StartedAt: n.stamp(p.Started), FinishedAt: n.stamp(p.ends),
	}
	switch {
	case ended.Reason != "":
	case p.exit == 0:
		ended.Reason = "Completed"
	default:
		ended.Reason = "Error"
	}
	if p.exit != 0 && p.exit != 137 {
		ended.Message = "Traceback (most recent call last):\nValueError: no"
	}
	return corev1.ContainerState{Terminated: ended}
}

// waits is why a container has not been started.
func (n *Node) waits(l *local, ct *container) *corev1.ContainerStateWaiting {
	now := time.Now()
	if now.Before(l.script.Unmountable) {
		return &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}
	}
	for _, earlier := range l.containers {
		if earlier == ct {
			break
		}
		if earlier.kind == Init && (!earlier.ended() || earlier.proc.exit != 0) || earlier.kind == Native && earlier.proc == nil {
			return &corev1.ContainerStateWaiting{Reason: "PodInitializing"}
		}
	}
	if now.Before(ct.script.Ready) && ct.script.Waits != "" {
		return &corev1.ContainerStateWaiting{Reason: ct.script.Waits, Message: ct.script.Message}
	}
	return &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}
}
