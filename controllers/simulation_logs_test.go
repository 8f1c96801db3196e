package controllers

import (
	"errors"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers/podlog"
	"github.com/scrapethis/spider-operator/controllers/simulated"
	"github.com/scrapethis/spider-operator/controllers/stats"
)

// simulatedLogs reads the logs of the simulated cluster as podlog.Collector does, without its goroutines: it does nothing until
// it is told to read.
type simulatedLogs struct {
	process *process
	pods    []*simulatedLog
}

type simulatedLog struct {
	target  podlog.Target
	mode    podlog.Mode
	reading podlog.Reading
	follows *simulated.Process // the process whose output an open stream brings
	sampled time.Time
}

var errNoLog = errors.New("the node serves no logs")

func (l *simulatedLogs) of(uid types.UID) *simulatedLog {
	for _, p := range l.pods {
		if p.target.UID == uid {
			return p
		}
	}
	return nil
}

// Want implements logReader.
func (l *simulatedLogs) Want(target podlog.Target, mode podlog.Mode) {
	p := l.of(target.UID)
	if p == nil {
		p = &simulatedLog{target: target}
		l.pods = append(l.pods, p)
	}
	if mode <= p.mode {
		return
	}
	p.mode = mode
	if mode > podlog.Sample {
		p.reading.Since = l.process.reconciler.clock.Now()
		p.reading.Began = p.reading.Since
	}
}

// Reading implements logReader.
func (l *simulatedLogs) Reading(uid types.UID) podlog.Reading {
	if p := l.of(uid); p != nil {
		return p.reading
	}
	return podlog.Reading{}
}

// Keep implements logReader.
func (l *simulatedLogs) Keep(sj types.NamespacedName, pods ...types.UID) {
	l.pods = slices.DeleteFunc(l.pods, func(p *simulatedLog) bool {
		return p.target.SpiderJob == sj && !slices.Contains(pods, p.target.UID)
	})
}

// read lets every log that is wanted be read as far as it can be.
func (l *simulatedLogs) read() {
	for _, p := range slices.Clone(l.pods) {
		before := p.reading
		l.readOne(p)
		if p.reading != before {
			l.process.learned(p.target.SpiderJob)
		}
	}
}

func (l *simulatedLogs) readOne(p *simulatedLog) {
	c, now := l.process.h.cluster, l.process.reconciler.clock.Now()
	if p.reading.Done {
		return
	}
	var writer *simulated.Process
	for _, proc := range c.Processes() {
		if proc.Pod == p.target.UID && proc.Kind == simulated.Spider {
			writer = proc
		}
	}
	pod := c.Pod(p.target.UID)
	var node *simulated.Node
	if writer != nil {
		for _, n := range c.Nodes() {
			if n.Name == writer.Node {
				node = n
			}
		}
	}
	answers := node != nil && node.State == simulated.Up && !node.Deleted && node.Logs != simulated.LogsHang
	waited := !p.reading.Since.IsZero() && now.Sub(p.reading.Since) >= 8*time.Second
	switch {
	case p.follows != nil && answers:
		// An open stream brings what there is, whatever has become of the Pod's object.
		if !p.follows.Running() {
			l.final(p, p.follows, node)
		}
	case p.follows != nil && !p.follows.Running() && waited:
		p.reading.Done, p.reading.Err = true, errNoLog
	case pod == nil:
		p.reading.Done = p.mode > podlog.Sample
	case writer == nil || !answers:
		if p.mode == podlog.Final && waited {
			p.reading.Done, p.reading.Err = true, errNoLog
		}
	case p.mode == podlog.Final && !writer.Running():
		l.final(p, writer, node)
	case p.mode == podlog.Sample && now.Sub(p.sampled) < 10*time.Second:
	case writer.Running() && node.Logs != simulated.LogsEmpty:
		p.sampled = now
		if p.mode == podlog.Follow {
			p.follows, p.reading.Opened = writer, true
		}
		p.reading.Known, p.reading.ObservedAt = true, now.Truncate(time.Second)
		p.reading.Counts = stats.Counts{Items: writer.Items(), Origin: v1alpha1.OriginScrapyLog}
	case p.mode == podlog.Follow && !writer.Running():
		l.final(p, writer, node)
	}
}

// final is the end of a log, with the stats that Scrapy dumps there unless it is cut off.
func (l *simulatedLogs) final(p *simulatedLog, writer *simulated.Process, node *simulated.Node) {
	p.reading.Done, p.reading.Opened = true, p.reading.Opened || p.mode == podlog.Follow
	if reason := writer.FinishReason(); reason != "" && node.Logs == simulated.LogsFine {
		p.reading.Known, p.reading.ObservedAt = true, l.process.reconciler.clock.Now().Truncate(time.Second)
		p.reading.Counts = stats.Counts{Items: writer.Items(), FinishReason: reason, Origin: v1alpha1.OriginScrapyStats, Final: true}
	}
}
