package simulated

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// LogTrouble is what is wrong with the logs of a node.
type LogTrouble int

// The troubles of logs.
const (
	LogsFine    LogTrouble = iota
	LogsHang               // no answer
	LogsEnd                // they end early, as after a rotation
	LogsEmpty              // 200 and nothing
	LogsRefused            // 200 and one line, which says that there is no log
	logTroubles
)

// LogTroubles is how many there are.
const LogTroubles = int(logTroubles)

// String describes it for people.
func (t LogTrouble) String() string {
	return [...]string{"are fine", "hang", "end early", "are empty", "are refused"}[t]
}

// Log is the log of a Pod's spider, as the kubelet of its node serves it.
type Log struct {
	// Text is what comes at once.
	Text string

	node   *Node
	writer *Process
	told   int64 // the items that the log last reported
}

// OpenLog asks kube-apiserver for the log of a Pod's spider. It is not answered for as long as the node does not answer.
func (c *Cluster) OpenLog(namespace, name string) (log *Log, answered bool, err error) {
	pod, _ := c.find(Pods, namespace, name).(*corev1.Pod)
	if pod == nil {
		return nil, true, apierrors.NewNotFound(corev1.Resource("pods"), name)
	}
	if pod.Spec.NodeName == "" {
		return &Log{}, true, nil
	}
	n := c.node(pod.Spec.NodeName)
	switch {
	case n.Deleted:
		return nil, true, apierrors.NewNotFound(corev1.Resource("nodes"), n.Name)
	case n.State == Off:
		return nil, true, apierrors.NewInternalError(fmt.Errorf("dial %s: no route to host", n.Name))
	case n.State == Cut || n.Logs == LogsHang:
		return nil, false, nil
	}
	l := &Log{node: n}
	for _, p := range c.processes {
		if p.Pod == pod.UID && p.Kind == Spider {
			l.writer = p
		}
	}
	switch {
	case l.writer == nil:
		return nil, true, apierrors.NewBadRequest(
			fmt.Sprintf("container %q in pod %q is waiting to start: ContainerCreating", "spider", name),
		)
	case n.Logs == LogsRefused:
		l.Text = "unable to retrieve container logs for containerd://" + name
	case n.Logs != LogsEmpty:
		l.Text = l.progress()
		if !l.writer.Running() {
			l.Text += l.closing()
		}
	}
	return l, true, nil
}

// Follow is what comes next on a stream of the log, and whether that is its end; nothing is to be had yet where it is not
// answered. An open stream brings what there is, whatever has become of the Pod's object.
func (l *Log) Follow() (text string, ends, answered bool) {
	switch {
	case l.writer == nil || l.node.Logs == LogsRefused || l.node.Logs == LogsEnd && l.node.State == Up:
		return "", true, true
	case l.node.State != Up || l.node.Deleted || l.node.Logs == LogsHang:
		return "", false, false
	case l.node.Logs != LogsEmpty:
		text = l.progress()
	}
	if l.writer.Running() {
		return text, false, text != ""
	}
	if l.node.Logs == LogsFine {
		text += l.closing()
	}
	return text, true, true
}

// progress is the line that Scrapy writes at intervals, if the counts have changed.
func (l *Log) progress() string {
	items := l.writer.Items()
	if items == l.told {
		return ""
	}
	l.told = items
	return fmt.Sprintf(
		"%s [scrapy.extensions.logstats] INFO: Crawled %d pages (at 60 pages/min), scraped %d items (at 60 items/min)\n", l.stamp(),
		items, items,
	)
}

// closing is what Scrapy dumps at its end, where the node gives it away.
func (l *Log) closing() string {
	reason := l.writer.FinishReason()
	if reason == "" || l.node.Logs == LogsEnd {
		return ""
	}
	signalled := ""
	if !l.writer.Signalled.IsZero() {
		signalled = l.stamp() + " [scrapy.crawler] INFO: Received SIGTERM, shutting down gracefully. Send again to force \n"
	}
	return signalled + fmt.Sprintf("%[1]s [scrapy.statscollectors] INFO: Dumping Scrapy stats:\n"+
		"{'finish_reason': '%[2]s',\n 'item_scraped_count': %[3]d}\n"+
		"%[1]s [scrapy.core.engine] INFO: Spider closed (%[2]s)\n", l.stamp(), reason, l.writer.Items())
}

func (l *Log) stamp() string { return l.node.now().Format(time.DateTime) }
