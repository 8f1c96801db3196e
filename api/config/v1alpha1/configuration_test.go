package v1alpha1

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDefaultsAreValid(t *testing.T) {
	controller, server := DefaultController(), DefaultAPIServer()
	if problems := append(controller.Validate(), server.Validate()...); len(problems) > 0 {
		t.Error(problems.ToAggregate())
	}
}

// What a file leaves out keeps its default, and 0 is a value like another.
func TestAFileIsReadOverTheDefaults(t *testing.T) {
	got, want := DefaultController(), DefaultController()
	err := DecodeController([]byte(`
apiVersion: config.scrapethis.app/v1alpha1
kind: ControllerConfiguration
maxInterruptions: 0
ttl: 24h
spiderPods:
  security: platform
`), &got)
	if err != nil {
		t.Fatal(err)
	}
	want.MaxInterruptions = 0
	want.TTL.Duration /= 7
	want.SpiderPods.Security = PodSecurityPlatform
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAFileThatCannotBeReadNamesWhatIsWrong(t *testing.T) {
	const head = "apiVersion: config.scrapethis.app/v1alpha1\nkind: ControllerConfiguration\n"
	for file, says := range map[string][]string{
		head + "worker: 5\nspiderPods: {labl: {}}\n": {`unknown field "worker"`, `unknown field "spiderPods.labl"`},
		head + "workers: 5\nttl: 7\nlogBudget: 0\nworkers: 6\nnope: 1\n" +
			"spiderPods: {tmpSize: x, labels: {a: 1}, tolerations: [{}, {key: [], effects: a}]}\n": {
			`"workers" already set`, `ttl: Invalid value: 7: must be a string`, `logBudget: Invalid value: 0: must be more than 0`,
			`spiderPods.tmpSize: Invalid value: "x"`, `spiderPods.labels[a]: Invalid value: 1: must be a string`,
			`spiderPods.tolerations[1].key: Invalid value: []: must be a string`, `unknown field "spiderPods.tolerations[1].effects"`,
			`unknown field "nope"`,
		},
		"[]":                              {"must be an object"},
		head + "workers: 5\nworkers: 6\n": {"workers", "already"},
		head + "workers: many\n":          {"workers"},
		head + "ttl: 7\n":                 {"string"},
		head + "ttl: 7d\n":                {"7d"},
		"workers: 5\n":                    {`apiVersion: Unsupported value: ""`, `kind: Unsupported value: ""`},
		"apiVersion: config.scrapethis.app/v1\nkind: ControllerConfiguration\n":           {"config.scrapethis.app/v1"},
		"apiVersion: config.scrapethis.app/v1alpha1\nkind: APIServerConfiguration\n":      {"APIServerConfiguration"},
		"apiVersion: config.scrapethis.app/v1alpha1\nkind: ControllerConfiguration\n- a:": {"yaml"},
		"": {`kind: Unsupported value: ""`},
	} {
		c := DefaultController()
		err := DecodeController([]byte(file), &c)
		for _, text := range says {
			if err == nil || !strings.Contains(err.Error(), text) {
				t.Errorf("%q: error %v, want one with %q", file, err, text)
			}
		}
	}
}

// Everything that is wrong is named at once, by its path.
func TestWrongControllerSettings(t *testing.T) {
	for settings, says := range map[string]string{
		"workers: 0":                          "workers: Invalid value: 0: must be at least 1",
		"defaultGracePeriod: 1500ms":          "defaultGracePeriod",
		"podRetention: -1s":                   "podRetention",
		"ttl: -1s":                            "ttl",
		"maxInterruptions: -1":                "maxInterruptions",
		"imagePatience: -5m":                  "imagePatience",
		"logInterval: -1s":                    "logInterval",
		"logBudget: 0":                        "logBudget",
		"leaderElection: {leaseDuration: 5s}": "leaderElection.leaseDuration",
		"leaderElection: {renewDeadline: 1s}": "leaderElection.renewDeadline",
		"leaderElection: {retryPeriod: 0s}":   "leaderElection.retryPeriod",
		"spiderPods: {security: privileged}":  `spiderPods.security: Unsupported value: "privileged"`,
		"spiderPods: {imagePullSecrets: [{name: a}, {name: a}]}":            "spiderPods.imagePullSecrets[1]: Duplicate",
		"spiderPods: {imagePullSecrets: [{name: Registry}]}":                "spiderPods.imagePullSecrets[0].name",
		"spiderPods: {nodeSelector: {'': a}}":                               "spiderPods.nodeSelector",
		"spiderPods: {nodeSelector: {pool: a b}}":                           "spiderPods.nodeSelector[pool]",
		"spiderPods: {labels: {scrapethis.app/spiderjob: a}}":               "reserved",
		"spiderPods: {labels: {batch.kubernetes.io/job-name: a}}":           "reserved",
		"spiderPods: {tmpSize: -1Gi}":                                       "spiderPods.tmpSize",
		"spiderPods: {tolerations: [{key: a}, {effect: NoSchedule}]}":       "spiderPods.tolerations[1]: Invalid value: \"\": without a key",
		"spiderPods: {tolerations: [{key: a, operator: In}]}":               "operator",
		"spiderPods: {tolerations: [{key: a b}]}":                           "key of a taint",
		"spiderPods: {tolerations: [{key: a, operator: Exists, value: b}]}": "no value",
		"spiderPods: {tolerations: [{key: a, value: b c}]}":                 "value of a taint",
		"spiderPods: {tolerations: [{key: a, effect: Never}]}":              "effect",
		"spiderPods: {tolerations: [{key: a, tolerationSeconds: 5}]}":       "NoExecute",
	} {
		c := DefaultController()
		file := "apiVersion: config.scrapethis.app/v1alpha1\nkind: ControllerConfiguration\n" + settings + "\n"
		if err := DecodeController([]byte(file), &c); err != nil {
			t.Errorf("%s: %v", settings, err)
			continue
		}
		if err := c.Validate().ToAggregate(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: error %v, want one with %q", settings, err, says)
		}
	}
}

func TestWrongAPIServerSettings(t *testing.T) {
	for settings, says := range map[string]string{
		"rate: 0":                         "rate: Invalid value: 0: must be more than 0",
		"burst: 0":                        "burst",
		"namespaceRate: -1":               "namespaceRate",
		"failedAuthentications: 0":        "failedAuthentications",
		"maxStreams: 0":                   "maxStreams",
		"maxUnfinishedJobs: -1":           "maxUnfinishedJobs",
		"maxSchedules: -1":                "maxSchedules",
		"maxArgumentBytes: -1":            "maxArgumentBytes",
		"maxConnections: 0":               "maxConnections",
		"maxConnectionsPerAddress: 0":     "maxConnectionsPerAddress",
		"trustedProxies: [10.0.0.0/8, x]": "trustedProxies[1]",
		"timeouts: {header: 0s}":          "timeouts.header",
		"timeouts: {read: 0s}":            "timeouts.read",
		"timeouts: {write: 0s}":           "timeouts.write",
		"timeouts: {idle: 0s}":            "timeouts.idle",
		"shutdownDelay: -1s":              "shutdownDelay",
		"drainTimeout: -1s":               "drainTimeout",
	} {
		c := DefaultAPIServer()
		file := "apiVersion: config.scrapethis.app/v1alpha1\nkind: APIServerConfiguration\n" + settings + "\n"
		if err := DecodeAPIServer([]byte(file), &c); err != nil {
			t.Errorf("%s: %v", settings, err)
			continue
		}
		if err := c.Validate().ToAggregate(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: error %v, want one with %q", settings, err, says)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(
		[]byte("apiVersion: config.scrapethis.app/v1alpha1\nkind: ControllerConfiguration\nworkers: 3\nspiderPods: {tmpSize: 1Gi}\n"),
	)
	f.Fuzz(func(_ *testing.T, file []byte) {
		controller, server := DefaultController(), DefaultAPIServer()
		if DecodeController(file, &controller) == nil {
			controller.Validate()
		}
		if DecodeAPIServer(file, &server) == nil {
			server.Validate()
		}
	})
}
