package v1alpha1

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

func TestSchemeKnowsEveryKind(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"Spider", "SpiderList", "SpiderJob", "SpiderJobList", "APIKey", "APIKeyList"} {
		object, err := scheme.New(GroupVersion.WithKind(kind))
		if err != nil {
			t.Errorf("make a %s: %v", kind, err)
			continue
		}
		if _, single := object.(metav1.Object); single == (kind[len(kind)-4:] == "List") {
			t.Errorf("%s is made as a %T", kind, object)
		}
	}
	if got := Resource("spiderjobs").String(); got != "spiderjobs.scrapethis.app" {
		t.Errorf("the resource spiderjobs is %s", got)
	}
}

func TestTerminalPhases(t *testing.T) {
	for phase, want := range map[Phase]bool{
		"": false, PhasePending: false, PhaseRunning: false, PhaseFinished: true, PhaseCancelled: true, PhaseError: true,
	} {
		if phase.Terminal() != want {
			t.Errorf("phase %q: terminal is %t, want %t", phase, !want, want)
		}
	}
}
