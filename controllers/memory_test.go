package controllers

import (
	"testing"
	"time"
)

// TestRecentJob takes a Job just created for there while no cache can show it yet, and for gone once one has shown it.
func TestRecentJob(t *testing.T) {
	job, other := makeJob(makeSpiderJob().SpiderJob).Job, makeJob(makeSpiderJob().SpiderJob).uid("job-0").Job
	r := recollection{created: job, createdAt: epoch}
	r.seen(other) // the one it follows
	if r.recentJob(epoch.Add(time.Second)) != job {
		t.Error("a Job created a second ago, and seen nowhere yet, is forgotten")
	}
	if r.recentJob(epoch.Add(createdFor)) != nil {
		t.Error("a Job that no cache shows in time is taken for there")
	}
	r = recollection{created: job, createdAt: epoch}
	r.seen(job)
	if r.recentJob(epoch.Add(time.Second)) != nil {
		t.Error("a Job that was seen, and is not any more, is taken for there")
	}
}
