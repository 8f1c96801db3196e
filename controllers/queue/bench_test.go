package queue

import (
	"fmt"
	"testing"

	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// BenchmarkQueue adds, takes and ends 10,000 items of 20 namespaces and all classes, with this queue and with
// controller-runtime's.
func BenchmarkQueue(b *testing.B) {
	const items = 10000
	requests := make([]reconcile.Request, items)
	for i := range requests {
		requests[i] = req(fmt.Sprintf("ns-%d/%d", i%20, i))
	}
	for _, of := range []struct {
		name string
		make func() priorityqueue.PriorityQueue[reconcile.Request]
	}{
		{"ours", func() priorityqueue.PriorityQueue[reconcile.Request] {
			m, err := NewMetrics(metrics.Registry, "bench")
			if err != nil {
				b.Fatal(err)
			}
			return New(Options{Workers: 64, Metrics: m})
		}},
		{"controller-runtime", func() priorityqueue.PriorityQueue[reconcile.Request] {
			return priorityqueue.New[reconcile.Request]("bench-controller-runtime")
		}},
	} {
		b.Run(of.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				q := of.make()
				for i, request := range requests {
					q.AddWithOpts(priorityqueue.AddOpts{Priority: ptr.To(classes[i%int(ranks)])}, request)
				}
				for range requests {
					item, _, _ := q.GetWithPriority()
					q.Done(item)
				}
				q.ShutDown()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*items), "ns/item")
		})
	}
}
