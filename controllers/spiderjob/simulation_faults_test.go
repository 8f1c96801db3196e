package spiderjob

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// TestSimulationCatchesFaults checks that the simulation finds each of these faults of the operator. They sit between the
// reconciler and the cluster, or change what decide sees or says.
func TestSimulationCatchesFaults(t *testing.T) {
	const most = 3000
	for _, test := range []struct {
		name     string
		faults   faults
		troubles trouble
		breaks   []string // one of these invariants is found broken
	}{
		{
			name:     "what the cache does not show is gone",
			faults:   faults{live: func(cached client.Client, _ client.Reader) client.Reader { return cached }},
			troubles: troubleUsers | troubleCrashes,
			breaks:   []string{invariantOneProcess, invariantEndProven, invariantTerminalCreates},
		},
		{
			name: "Pods are deleted with grace 0",
			faults: onDelete(func(o *client.DeleteOptions, obj client.Object) {
				if _, ok := obj.(*corev1.Pod); ok {
					zero := int64(0)
					o.GracePeriodSeconds = &zero
				}
			}),
			troubles: troubleUsers,
			breaks:   []string{invariantGrace},
		},
		{
			name:     "deletions name no UID",
			faults:   onDelete(func(o *client.DeleteOptions, _ client.Object) { o.Preconditions = nil }),
			troubles: troubleUsers,
			breaks:   []string{invariantUID},
		},
		{
			name: "a Pod without a Job is nobody's",
			faults: faults{
				client: func(c client.Client) client.Client { return listingClient{c, orphaned} },
				live:   func(_ client.Client, live client.Reader) client.Reader { return listing{live, orphaned} },
			},
			troubles: troubleUsers | troubleOrphans,
			breaks:   []string{invariantOneProcess, invariantEndProven, invariantNothingLeft},
		},
		{
			name:     "an older status overwrites a newer one",
			faults:   onStatus(func(sj *v1alpha1.SpiderJob) bool { sj.ResourceVersion = ""; return true }),
			troubles: troubleUsers | troubleDeposed,
			breaks:   []string{invariantPhases, invariantCounts, invariantCancelled, invariantEndProven, invariantVerdicts},
		},
		{
			name:   "a message gets lost",
			faults: onStatus(func(sj *v1alpha1.SpiderJob) bool { sj.Status.Message = ""; return true }),
			// Any wait will do.
			troubles: troubleQueue,
			breaks:   []string{invariantExplained},
		},
		{
			name:     "the end is never written",
			faults:   onStatus(func(sj *v1alpha1.SpiderJob) bool { return !sj.Status.Phase.Terminal() }),
			troubles: 0,
			breaks:   []string{invariantEnds, invariantFrugal},
		},
		{
			name:     "a cancellation ends as an error",
			faults:   onStatus(func(sj *v1alpha1.SpiderJob) bool { return relabel(sj, v1alpha1.PhaseCancelled, v1alpha1.PhaseError) }),
			troubles: troubleUsers,
			breaks:   []string{invariantCancelled},
		},
		{
			name: "exit code 0 is success",
			faults: onStatus(func(sj *v1alpha1.SpiderJob) bool {
				if sj.Status.Reason == v1alpha1.ReasonSpiderFailed || sj.Status.Reason == v1alpha1.ReasonInterrupted {
					sj.Status.Phase, sj.Status.Reason = v1alpha1.PhaseFinished, v1alpha1.ReasonCompleted
				}
				return true
			}),
			troubles: troubleEvictions,
			breaks:   []string{invariantVerdicts, invariantEndProven},
		},
		{
			name:     "a broken rule is no error",
			faults:   onStatus(mild),
			troubles: troubleVerdicts,
			breaks:   []string{invariantVerdicts},
		},
		{
			name:     "counts are what was read last",
			faults:   onStatus(forgetful),
			troubles: 0,
			breaks:   []string{invariantCounts, invariantVerdicts},
		},
		{
			name:     "logs are read for ever",
			faults:   faults{logs: func(l logReader) logReader { return neverForgets{l} }},
			troubles: 0,
			breaks:   []string{invariantForgets},
		},
		{
			name: "success is told while the process runs",
			faults: faults{decide: func(o *observation, now time.Time) decision {
				d := decide(o, now)
				if st := &d.status; st.Phase == v1alpha1.PhaseRunning && st.Stats != nil && st.Stats.ItemsScraped > 20 && d.need == needNothing {
					return d.end(o, v1alpha1.PhaseFinished, v1alpha1.ReasonCompleted, "it has scraped enough", now)
				}
				return d
			}},
			breaks: []string{invariantEndProven},
		},
		{
			name: "a Pod that is being deleted is gone",
			faults: faults{decide: func(o *observation, now time.Time) decision {
				blind := *o
				blind.pods = slices.DeleteFunc(slices.Clone(o.pods), func(p *podView) bool { return p.deleting })
				return decide(&blind, now)
			}},
			troubles: troubleUsers | troubleEvictions,
			breaks:   []string{invariantOneProcess, invariantEndProven},
		},
		{
			name: "a retry does not wait until the attempt before is gone",
			faults: faults{decide: func(o *observation, now time.Time) decision {
				if st := o.sj.Status.Stop; st == nil || !st.Retry {
					return decide(o, now)
				}
				hasty := *o
				hasty.pods, hasty.live = nil, true
				return decide(&hasty, now)
			}},
			troubles: troubleUsers | troubleEvictions | troubleOrphans,
			breaks:   []string{invariantOneProcess, invariantEndProven},
		},
		{
			name: "what was seen to end is forgotten",
			faults: faults{decide: func(o *observation, now time.Time) decision {
				forgetful := *o
				forgetful.witness, forgetful.exited = nil, nil
				return decide(&forgetful, now)
			}},
			troubles: troubleUsers | troubleNatives | troubleEvictions,
			breaks:   []string{invariantSuccessKept},
		},
		{
			name: "a wait gives no reason",
			faults: faults{decide: func(o *observation, now time.Time) decision {
				d := decide(o, now)
				if st := &d.status; st.Phase == v1alpha1.PhasePending {
					st.Reason, st.Message = o.sj.Status.Reason, o.sj.Status.Message
				}
				return d
			}},
			troubles: troubleImages | troubleVolumes | troubleQuota,
			breaks:   []string{invariantExplained},
		},
		{
			name: "time runs ahead",
			faults: faults{decide: func(o *observation, now time.Time) decision {
				return decide(o, now.Add(20*time.Second))
			}},
			breaks: []string{invariantTimeouts},
		},
		{
			name: "a Job that was refused is not tried again",
			faults: faults{decide: func(o *observation, now time.Time) decision {
				stubborn := *o
				if o.refused != nil {
					refused := *o.refused
					refused.at = now
					stubborn.refused = &refused
				}
				return decide(&stubborn, now)
			}},
			troubles: troubleAdmission,
			breaks:   []string{invariantPrompt, invariantEnds},
		},
		{
			name: "each look reads everything from kube-apiserver",
			faults: faults{decide: func(o *observation, now time.Time) decision {
				if !o.live {
					return decision{need: needLive}
				}
				return decide(o, now)
			}},
			troubles: everyTrouble,
			breaks:   []string{invariantFrugal},
		},
		{
			name: "each look writes the status",
			faults: faults{decide: func(o *observation, now time.Time) decision {
				d := decide(o, now)
				if st := &d.status; d.need == needNothing && !o.sj.Status.Phase.Terminal() && st.Message != "" {
					st.Message = fmt.Sprintf("%s; seen at %s", st.Message, now.Format(time.TimeOnly))
				}
				return d
			}},
			troubles: everyTrouble,
			breaks:   []string{invariantFrugal},
		},
		{
			name: "a record is kept as Spiders have it now",
			faults: faults{decide: func(o *observation, now time.Time) decision {
				fickle := *o
				fickle.sj = o.sj.DeepCopy()
				fickle.sj.Status.TTLSecondsAfterFinished = nil
				return decide(&fickle, now)
			}},
			troubles: troubleSpiders,
			breaks:   []string{invariantKept},
		},
		{
			name: "a record is kept for as long as the operator says, whatever the SpiderJob does",
			faults: faults{decide: func(o *observation, now time.Time) decision {
				deaf := *o
				deaf.sj = o.sj.DeepCopy()
				deaf.sj.Spec.TTLSecondsAfterFinished = nil
				return decide(&deaf, now)
			}},
			troubles: troubleUsers,
			breaks:   []string{invariantKept, invariantForgets},
		},
		{
			name: "what is held of the arguments is taken for all of them",
			faults: faults{decide: func(o *observation, now time.Time) decision {
				trusting := *o
				trusting.sj = o.sj.DeepCopy()
				trusting.sj.Annotations = nil
				return decide(&trusting, now)
			}},
			troubles: troubleUsers,
			breaks:   []string{invariantArguments},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(most) {
				h := tellHistory(t, seed, simulation{troubles: test.troubles, faults: test.faults})
				for _, invariant := range test.breaks {
					if h.broken == invariant {
						t.Logf("found in history %d: %s", seed+1, h.broken)
						return
					}
				}
			}
			t.Fatalf("not found in %d histories", most)
		})
	}
}

func orphaned(pod *corev1.Pod) bool { return metav1.GetControllerOf(pod) == nil }

// onDelete changes the options of every deletion.
func onDelete(change func(*client.DeleteOptions, client.Object)) faults {
	return faults{client: func(c client.Client) client.Client { return deleting{c, change} }}
}

type deleting struct {
	client.Client
	change func(*client.DeleteOptions, client.Object)
}

func (d deleting) Delete(ctx context.Context, obj client.Object, opts ...client.DeleteOption) error {
	var o client.DeleteOptions
	o.ApplyOptions(opts)
	d.change(&o, obj)
	return d.Client.Delete(ctx, obj, &o)
}

// onStatus changes every status that is written, or has it dropped.
func onStatus(change func(*v1alpha1.SpiderJob) bool) faults {
	return faults{client: func(c client.Client) client.Client { return recording{c, change} }}
}

type recording struct {
	client.Client
	change func(*v1alpha1.SpiderJob) bool
}

func (r recording) Status() client.SubResourceWriter { return recorder{r.Client.Status(), r.change} }

type recorder struct {
	client.SubResourceWriter
	change func(*v1alpha1.SpiderJob) bool
}

func (r recorder) Update(ctx context.Context, obj client.Object, opts ...client.SubResourceUpdateOption) error {
	if sj, ok := obj.(*v1alpha1.SpiderJob); ok && !r.change(sj) {
		return nil
	}
	return r.SubResourceWriter.Update(ctx, obj, opts...)
}

func relabel(sj *v1alpha1.SpiderJob, from, to v1alpha1.Phase) bool {
	if sj.Status.Phase == from {
		sj.Status.Phase = to
	}
	return true
}

func forgetful(sj *v1alpha1.SpiderJob) bool {
	if st := sj.Status.Stats; st != nil && !st.Final && st.ItemsScraped > 50 {
		st.ItemsScraped %= 50
	}
	return true
}

// listing hides Pods from lists.
type listing struct {
	client.Reader
	hidden func(*corev1.Pod) bool
}

func (l listing) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	if err := l.Reader.List(ctx, list, opts...); err != nil {
		return err
	}
	if pods, ok := list.(*corev1.PodList); ok {
		kept := pods.Items[:0]
		for i := range pods.Items {
			if !l.hidden(&pods.Items[i]) {
				kept = append(kept, pods.Items[i])
			}
		}
		pods.Items = kept
	}
	return nil
}

type listingClient struct {
	client.Client
	hidden func(*corev1.Pod) bool
}

func (l listingClient) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	return listing{l.Client, l.hidden}.List(ctx, list, opts...)
}

// neverForgets is a reader of logs that reads on.
type neverForgets struct{ logReader }

// Keep implements logReader.
func (neverForgets) Keep(types.NamespacedName, ...types.UID) {}
