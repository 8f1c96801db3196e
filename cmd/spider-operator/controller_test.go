package main

import (
	"testing"
	"time"

	"k8s.io/client-go/tools/leaderelection"
)

// With the defaults another replica leads within 20 s of the leader's sudden death, and within 3 s of an orderly stop.
func TestTheDefaultsHandOverInTime(t *testing.T) {
	flags := newControllerCommand().Flags()
	duration := func(name string) time.Duration {
		d, err := flags.GetDuration(name)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	lease, retry := duration("leader-elect-lease-duration"), duration("leader-elect-retry-period")
	// A candidate looks at the lease every so often, stretched at random; one that it saw renewed, it believes in for as long
	// as a lease lasts. So it may see the last renewal one look late, and the end of the lease another.
	look := time.Duration(float64(retry) * (1 + leaderelection.JitterFactor))
	const (
		starting = 2 * time.Second        // reading what there is before the first reconcile
		stopping = 500 * time.Millisecond // giving the lease back
	)
	if most := look + lease + look + starting; most > 20*time.Second {
		t.Errorf("it may take %s until another replica leads after the leader died", most)
	}
	if most := stopping + look; most > 3*time.Second {
		t.Errorf("it may take %s until another replica leads after the leader was stopped", most)
	}
}
