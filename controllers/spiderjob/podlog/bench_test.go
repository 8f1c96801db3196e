package podlog

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// silence is a Source of logs that never answer, or that are empty.
type silence bool

func (s silence) Open(ctx context.Context, _ Target, _ *corev1.PodLogOptions) (io.ReadCloser, error) {
	if s {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return io.NopCloser(strings.NewReader("")), nil
}

// BenchmarkAmongManyPods measures a request for a Pod's log, and its removal, while 20,000 other Pods on 100 nodes take turns
// or wait.
func BenchmarkAmongManyPods(b *testing.B) {
	const pods, nodes = 20000, 100
	targets := make([]Target, pods+1)
	for i := range targets {
		targets[i] = on(fmt.Sprint("node-", i%nodes), fmt.Sprint(i))
	}
	for _, test := range []struct {
		name         string
		source       silence
		others, mode Mode
	}{
		{"running, samples", false, Sample, Sample},
		{"running, final reads", false, Sample, Final},
		{"waiting, final reads", true, Final, Final},
		{"waiting, streams", true, Follow, Follow},
	} {
		b.Run(test.name, func(b *testing.B) {
			c := New(test.source, Options{})
			ctx, cancel := context.WithCancel(b.Context())
			stopped := make(chan error)
			go func() { stopped <- c.Start(ctx) }()
			for _, t := range targets[:pods] {
				c.Want(t, test.others)
			}
			b.ReportAllocs()
			for b.Loop() {
				c.Want(targets[pods], test.mode)
				c.Forget(targets[pods].UID)
			}
			b.StopTimer()
			cancel()
			if err := <-stopped; err != nil {
				b.Fatal(err)
			}
		})
	}
}
