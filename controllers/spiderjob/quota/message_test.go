package quota

import "testing"

const (
	full   = `Error creating: pods "run-abcde" is forbidden: exceeded quota: small, requested: pods=1, used: pods=1, limited: pods=1`
	stable = `Error creating: pods are forbidden: exceeded quota: small, requested: pods=1, limited: pods=1`
	tooBig = `Error creating: pods "run-x" is forbidden: exceeded quota: small, requested: limits.cpu=4,pods=1, ` +
		`used: limits.cpu=0,pods=0, limited: limits.cpu=2500m,pods=9`
)

// TestMessageDropsWhatIsRandom checks that Message drops what differs each time, and nothing more.
func TestMessageDropsWhatIsRandom(t *testing.T) {
	for text, want := range map[string]string{
		full:   stable,
		stable: stable,
		"(combined from similar events): " + full: stable,
		`pods "a-1" is forbidden: exceeded quota: q, requested: cpu=1,pods=1, used: cpu=3,pods=5, limited: cpu=3,pods=5`: "" +
			`pods are forbidden: exceeded quota: q, requested: cpu=1,pods=1, limited: cpu=3,pods=5`,
		`pods "a-1" is forbidden: failed quota: q: must specify limits.cpu for: spider`: "" +
			`pods are forbidden: failed quota: q: must specify limits.cpu for: spider`,
		`pods "a-1" is forbidden: status unknown for quota: q, resources: pods`: "" +
			`pods are forbidden: status unknown for quota: q, resources: pods`,
		"node is on fire": "node is on fire",
		"":                "",
	} {
		if got := Message(text); got != want {
			t.Errorf("Message(%q)\n got %q\nwant %q", text, got, want)
		}
	}
}

// TestExceeded checks that the refusals of a ResourceQuota are recognized, and that no other refusal is taken for one.
func TestExceeded(t *testing.T) {
	for text, want := range map[string]bool{
		full: true, stable: true,
		`pods "a" is forbidden: failed quota: q: must specify limits.cpu for: spider`: true,
		`pods "a" is forbidden: violates PodSecurity "restricted:latest"`:             false,
		`pods "quota-1" is forbidden: error looking up service account quota/default`: false,
	} {
		if got := Exceeded(text); got != want {
			t.Errorf("Exceeded(%q) is %t", text, got)
		}
	}
}

// TestNeverFits checks that a Pod for which no quota of this size has room is distinguished from one that has come too early.
func TestNeverFits(t *testing.T) {
	for text, want := range map[string]bool{
		tooBig:          true,
		Message(tooBig): true,
		full:            false,
		`pods "a" is forbidden: failed quota: q: must specify limits.cpu for: spider`:                               true,
		`pods "a" is forbidden: status unknown for quota: q, resources: pods`:                                       false,
		`pods "a" is forbidden: exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0`:                false,
		`pods "a" is forbidden: exceeded quota: q, requested: memory=2Gi, used: memory=1Mi, limited: memory=2048Mi`: false,
		`pods "a" is forbidden: exceeded quota: q, requested: memory=?, used: , limited: memory=1`:                  false,
	} {
		if got := neverFits(text); got != want {
			t.Errorf("neverFits(%q) is %t", text, got)
		}
	}
}
