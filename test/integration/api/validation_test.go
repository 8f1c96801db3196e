package api

import (
	"fmt"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// A candidate is an object that is accepted, or refused with a message that names what is wrong.
type candidate struct {
	name string
	set  fields
	// refusal is empty if the object is accepted, and otherwise a text that the refusal must contain: at least the field's name.
	refusal string
}

func testCandidates(t *testing.T, kind string, candidates []candidate) {
	t.Helper()
	namespace := cluster.Namespace(t)
	for _, c := range candidates {
		t.Run(c.name, func(t *testing.T) {
			err := cluster.Client.Create(t.Context(), newObject(t, kind, namespace, c.set), client.DryRunAll, strict)
			switch {
			case c.refusal == "" && err != nil:
				t.Errorf("refused: %v", err)
			case c.refusal == "":
			case err == nil:
				t.Errorf("accepted, should be refused because of %s", c.refusal)
			case !apierrors.IsInvalid(err) && !apierrors.IsBadRequest(err):
				t.Errorf("refused as %s, which does not tell users that the object is wrong: %v", apierrors.ReasonForError(err), err)
			case !strings.Contains(err.Error(), c.refusal):
				t.Errorf("the refusal does not say %q: %v", c.refusal, err)
			}
		})
	}
}

func TestSpiderJobValidation(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x", n) }
	argument := func(name, value string) fields { return fields{"spec.arguments": map[string]any{name: value}} }
	setting := func(name, value string) fields { return fields{"spec.settings": map[string]any{name: value}} }

	testCandidates(t, "SpiderJob", []candidate{
		{"the least", nil, ""},
		{"all of it", fields{
			"spec.arguments":                       map[string]any{"category": "travel"},
			"spec.settings":                        map[string]any{"CLOSESPIDER_ITEMCOUNT": "10"},
			"spec.timeoutSeconds":                  int64(60),
			"spec.startDeadlineSeconds":            int64(600),
			"spec.retries":                         int64(1),
			"spec.priority":                        int64(5),
			"spec.maxWaitSeconds":                  int64(86400),
			"spec.ttlSecondsAfterFinished":         int64(0),
			"spec.userID":                          "ann@example.com",
			"spec.cancellation.requestedBy":        "bob",
			"spec.cancellation.requestedAt":        "2025-01-15T10:30:00Z",
			"spec.cancellation.gracePeriodSeconds": int64(5),
		}, ""},
		{"unknown field", fields{"spec.image": "evil"}, "spec.image"},

		{"name of 63 characters", fields{"metadata.name": long(63)}, ""},
		{"name of 64 characters", fields{"metadata.name": long(64)}, "metadata.name"},
		{"name with a dot", fields{"metadata.name": "a.b"}, "metadata.name"},
		{"name that is a UUID", fields{"metadata.name": "019a0000-0000-7000-8000-000000000000"}, ""},

		{"no spec", fields{"spec": nil}, "spec"},
		{"no spiderRef", fields{"spec": map[string]any{}}, "spec.spiderRef"},
		{"spiderRef without name", fields{"spec.spiderRef": map[string]any{}}, "spec.spiderRef.name"},
		{"spiderRef name empty", fields{"spec.spiderRef.name": ""}, "spec.spiderRef.name"},
		{"spiderRef name of 63 characters", fields{"spec.spiderRef.name": long(63)}, ""},
		{"spiderRef name of 64 characters", fields{"spec.spiderRef.name": long(64)}, "spec.spiderRef.name"},
		{"spiderRef name in upper case", fields{"spec.spiderRef.name": "Books"}, "spec.spiderRef.name"},

		{"128 arguments", fields{"spec.arguments": entries(128)}, ""},
		{"129 arguments", fields{"spec.arguments": entries(129)}, "spec.arguments"},
		{"argument value empty", argument("a", ""), ""},
		{"argument value of 32768 characters", argument("a", long(32768)), ""},
		{"argument value of 32769 characters", argument("a", long(32769)), "spec.arguments.a"},
		{"argument value with newlines, quotes and dollars", argument("a", "\n\t\r'\"`$(HOME)\\ --option \x01\u2028"), ""},
		{"argument value with NUL", argument("a", "be\x00fore"), "spec.arguments.a"},
		{"argument value that is a number", fields{"spec.arguments": map[string]any{"a": int64(1)}}, "spec.arguments.a"},
		{"argument value that is null, which Kubernetes leaves out", fields{"spec.arguments": map[string]any{"a": nil}}, ""},
		{"argument name of 256 characters", argument(long(256), "v"), ""},
		{"argument name of 257 characters", argument(long(257), "v"), "spec.arguments"},
		{"argument name with underscores and digits", argument("_a1_", "v"), ""},
		{"argument name in German", argument("größe", "v"), ""},
		{"argument name in Chinese", argument("名前", "v"), ""},
		{"argument name with a combining mark", argument("e\u0301tage", "v"), ""},
		{"argument name in Arabic-Indic digits after a letter", argument("a٣", "v"), ""},
		{"argument name empty", argument("", "v"), "spec.arguments"},
		{"argument name that begins with a digit", argument("1a", "v"), ""},
		{"argument name that begins with a combining mark", argument("\u0301a", "v"), ""},
		{"argument name with a hyphen", argument("a-b", "v"), ""},
		{"argument name that looks like an option", argument("--loglevel", "v"), "spec.arguments"},
		{"argument name with an equals sign", argument("a=b", "v"), "spec.arguments"},
		{"argument name with a space", argument("a b", "v"), ""},
		{"argument name with a newline at its end", argument("a\n", "v"), "spec.arguments"},
		{"argument name with a C1 control character", argument("a\u0085", "v"), "spec.arguments"},
		{"argument name with dots", argument("a.b", "v"), ""},
		{"argument name with NUL", argument("a\x00", "v"), "spec.arguments"},
		{"argument name that is an expansion", argument("$(HOME)", "v"), ""},
		{"argument name that is an emoji", argument("🕷", "v"), ""},

		{"64 settings", fields{"spec.settings": entries(64)}, ""},
		{"65 settings", fields{"spec.settings": entries(65)}, "spec.settings"},
		{"setting name of 128 characters", setting(strings.Repeat("X", 128), "v"), ""},
		{"setting name of 129 characters", setting(strings.Repeat("X", 129), "v"), "spec.settings"},
		{"setting name in lower case", setting("log_level", "v"), "spec.settings"},
		{"setting name with an equals sign", setting("A=B", "v"), "spec.settings"},
		{"setting value of 4096 characters", setting("A", long(4096)), ""},
		{"setting value of 4097 characters", setting("A", long(4097)), "spec.settings.A"},
		{"setting value with NUL", setting("A", "\x00"), "spec.settings.A"},

		{"timeout of 0", fields{"spec.timeoutSeconds": int64(0)}, "spec.timeoutSeconds"},
		{"timeout of 1", fields{"spec.timeoutSeconds": int64(1)}, ""},
		{"timeout of a year", fields{"spec.timeoutSeconds": int64(31536000)}, ""},
		{"timeout of more than a year", fields{"spec.timeoutSeconds": int64(31536001)}, "spec.timeoutSeconds"},
		{"timeout that is no integer", fields{"spec.timeoutSeconds": 1.5}, "spec.timeoutSeconds"},
		{"start deadline of 0", fields{"spec.startDeadlineSeconds": int64(0)}, "spec.startDeadlineSeconds"},
		{"start deadline of 1", fields{"spec.startDeadlineSeconds": int64(1)}, ""},
		{"start deadline of a year", fields{"spec.startDeadlineSeconds": int64(31536000)}, ""},
		{"start deadline of more than a year", fields{"spec.startDeadlineSeconds": int64(31536001)}, "spec.startDeadlineSeconds"},
		{"start deadline that is no integer", fields{"spec.startDeadlineSeconds": 1.5}, "spec.startDeadlineSeconds"},
		{"retries of -1", fields{"spec.retries": int64(-1)}, "spec.retries"},
		{"retries of 0", fields{"spec.retries": int64(0)}, ""},
		{"retries of 100", fields{"spec.retries": int64(100)}, ""},
		{"retries of 101", fields{"spec.retries": int64(101)}, "spec.retries"},
		{"priority of -1000", fields{"spec.priority": int64(-1000)}, ""},
		{"priority of -1001", fields{"spec.priority": int64(-1001)}, "spec.priority"},
		{"priority of 1000", fields{"spec.priority": int64(1000)}, ""},
		{"priority of 1001", fields{"spec.priority": int64(1001)}, "spec.priority"},
		{"wait of 0", fields{"spec.maxWaitSeconds": int64(0)}, "spec.maxWaitSeconds"},
		{"wait of 1", fields{"spec.maxWaitSeconds": int64(1)}, ""},
		{"wait of a year", fields{"spec.maxWaitSeconds": int64(31536000)}, ""},
		{"wait of more than a year", fields{"spec.maxWaitSeconds": int64(31536001)}, "spec.maxWaitSeconds"},
		{"TTL of -1", fields{"spec.ttlSecondsAfterFinished": int64(-1)}, "spec.ttlSecondsAfterFinished"},
		{"TTL of ten years", fields{"spec.ttlSecondsAfterFinished": int64(315360000)}, ""},
		{"TTL of more than ten years", fields{"spec.ttlSecondsAfterFinished": int64(315360001)}, "spec.ttlSecondsAfterFinished"},

		{"userID empty", fields{"spec.userID": ""}, "spec.userID"},
		{"userID of 128 characters", fields{"spec.userID": long(128)}, ""},
		{"userID of 129 characters", fields{"spec.userID": long(129)}, "spec.userID"},
		{"userID with a space", fields{"spec.userID": "a b"}, "spec.userID"},
		{"userID beyond ASCII", fields{"spec.userID": "zoë"}, "spec.userID"},

		{"cancelled from the start", fields{"spec.cancellation": map[string]any{}}, ""},
		{"cancellation by 256 characters", fields{"spec.cancellation.requestedBy": long(256)}, ""},
		{"cancellation by 257 characters", fields{"spec.cancellation.requestedBy": long(257)}, "spec.cancellation.requestedBy"},
		{"cancellation at no time", fields{"spec.cancellation.requestedAt": "soon"}, "spec.cancellation.requestedAt"},
		{"grace period of 0", fields{"spec.cancellation.gracePeriodSeconds": int64(0)}, ""},
		{"grace period of -1", fields{"spec.cancellation.gracePeriodSeconds": int64(-1)}, "spec.cancellation.gracePeriodSeconds"},
		{"grace period of a day", fields{"spec.cancellation.gracePeriodSeconds": int64(86400)}, ""},
		{"grace period of more than a day", fields{"spec.cancellation.gracePeriodSeconds": int64(86401)},
			"spec.cancellation.gracePeriodSeconds"},
		{"cancellation with an unknown field", fields{"spec.cancellation.force": true}, "spec.cancellation.force"},
	})
}

func TestSpiderValidation(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x", n) }
	label := func(name, value string) fields { return fields{"spec.pod.labels": map[string]any{name: value}} }
	env := func(names ...string) fields {
		return fields{"spec.pod.env": items(len(names), func(i int) any { return map[string]any{"name": names[i], "value": "v"} })}
	}
	distinct := func(i int) any { return "E" + strings.Repeat("X", i) }

	testCandidates(t, "Spider", []candidate{
		{"the least", nil, ""},
		{"no spec", fields{"spec": nil}, ""},
		{"unknown field", fields{"spec.imagee": "typo"}, "spec.imagee"},
		{"name of 63 characters", fields{"metadata.name": long(63)}, ""},
		{"name of 64 characters", fields{"metadata.name": long(64)}, "metadata.name"},
		{"name with a dot", fields{"metadata.name": "a.b"}, "metadata.name"},

		{"spider name as Scrapy's may be", fields{"spec.name": "_Books.v2-beta"}, ""},
		{"spider name of 128 characters", fields{"spec.name": long(128)}, ""},
		{"spider name of 129 characters", fields{"spec.name": long(129)}, "spec.name"},
		{"spider name empty", fields{"spec.name": ""}, "spec.name"},
		{"spider name that looks like an option", fields{"spec.name": "-h"}, "spec.name"},
		{"spider name of 128 umlauts", fields{"spec.name": strings.Repeat("ü", 128)}, ""},
		{"spider name with blanks, dots and a slash", fields{"spec.name": " Größe 2 / a.example"}, ""},
		{"spider name that is an expansion", fields{"spec.name": "$(HOME)"}, ""},
		{"spider name of blanks", fields{"spec.name": "  "}, "spec.name"},
		{"spider name of wide blanks", fields{"spec.name": "\u3000\u00a0"}, "spec.name"},
		{"spider name with a newline at its end", fields{"spec.name": "a\n"}, "spec.name"},
		{"spider name with a C1 control character", fields{"spec.name": "a\u0085"}, "spec.name"},
		{"spider name with DEL", fields{"spec.name": "\x7f"}, "spec.name"},

		{"workingDir", fields{"spec.pod.workingDir": "/srv/my project"}, ""},
		{"workingDir that is relative", fields{"spec.pod.workingDir": "srv"}, "spec.pod.workingDir"},
		{"workingDir with a newline", fields{"spec.pod.workingDir": "/srv\n"}, "spec.pod.workingDir"},

		{"repoPath", fields{"spec.repoPath": "spiders/my_spider.py"}, ""},
		{"repoPath of 512 characters", fields{"spec.repoPath": long(512)}, ""},
		{"repoPath of 513 characters", fields{"spec.repoPath": long(513)}, "spec.repoPath"},
		{"repoPath empty", fields{"spec.repoPath": ""}, "spec.repoPath"},
		{"repoPath with dots in a name", fields{"spec.repoPath": "a..b/..c/d..py"}, ""},
		{"repoPath in another script", fields{"spec.repoPath": "паук/книги.py"}, ""},
		{"repoPath absolute", fields{"spec.repoPath": "/etc/passwd"}, "spec.repoPath"},
		{"repoPath that is ..", fields{"spec.repoPath": ".."}, "spec.repoPath"},
		{"repoPath that begins with ..", fields{"spec.repoPath": "../a.py"}, "spec.repoPath"},
		{"repoPath with .. inside", fields{"spec.repoPath": "a/../../b.py"}, "spec.repoPath"},
		{"repoPath that ends with ..", fields{"spec.repoPath": "a/.."}, "spec.repoPath"},
		{"repoPath that looks like an option", fields{"spec.repoPath": "-s"}, "spec.repoPath"},
		{"repoPath with a newline", fields{"spec.repoPath": "a\nb"}, "spec.repoPath"},
		{"repoPath and command", fields{"spec.repoPath": "a.py", "spec.command": []any{"python3"}}, "spec.repoPath"},

		{"description of 1024 characters", fields{"spec.description": long(1024)}, ""},
		{"description of 1025 characters", fields{"spec.description": long(1025)}, "spec.description"},
		{"userID with a space", fields{"spec.userID": "a b"}, "spec.userID"},
		{"image empty", fields{"spec.image": ""}, "spec.image"},
		{"image of 513 characters", fields{"spec.image": long(513)}, "spec.image"},
		{"image pull policy", fields{"spec.imagePullPolicy": "Never"}, ""},
		{"image pull policy unknown", fields{"spec.imagePullPolicy": "Sometimes"}, "spec.imagePullPolicy"},
		{"image pull secret twice", fields{"spec.imagePullSecrets": []any{map[string]any{"name": "a"}, map[string]any{"name": "a"}}},
			"spec.imagePullSecrets[1]"},

		{"command", fields{"spec.command": []any{"/counter", "--fast"}}, ""},
		{"command of nothing", fields{"spec.command": []any{}}, "spec.command"},
		{"command of 65 words", fields{"spec.command": items(65, distinct)}, "spec.command"},
		{"command with a word of 4097 characters", fields{"spec.command": []any{"a", long(4097)}}, "spec.command[1]"},
		{"command with NUL", fields{"spec.command": []any{"a", "b\x00"}}, "spec.command[1]"},

		{"setting name in lower case", fields{"spec.settings": map[string]any{"log_level": "v"}}, "spec.settings"},
		{"65 settings", fields{"spec.settings": entries(65)}, "spec.settings"},
		{"allowed settings", fields{"spec.allowedSettings": []any{"DOWNLOAD_DELAY", "LOG_LEVEL"}}, ""},
		{"allowed setting in lower case", fields{"spec.allowedSettings": []any{"LOG_LEVEL", "x"}}, "spec.allowedSettings[1]"},
		{"allowed setting twice", fields{"spec.allowedSettings": []any{"A", "A"}}, "spec.allowedSettings[1]"},
		{"65 allowed settings", fields{"spec.allowedSettings": items(65, distinct)}, "spec.allowedSettings"},
		{"tags", fields{"spec.tags": []any{"a", "EU_1.b-c", long(63)}}, ""},
		{"tag with a blank", fields{"spec.tags": []any{"a", "a b"}}, "spec.tags[1]"},
		{"tag that ends in a dot", fields{"spec.tags": []any{"a."}}, "spec.tags[0]"},
		{"tag of 64 characters", fields{"spec.tags": []any{long(64)}}, "spec.tags[0]"},
		{"tag twice", fields{"spec.tags": []any{"a", "a"}}, "spec.tags[1]"},
		{"17 tags", fields{"spec.tags": items(17, distinct)}, "spec.tags"},
		{"stats source", fields{"spec.statsSource": "None"}, ""},
		{"stats source unknown", fields{"spec.statsSource": "Guess"}, "spec.statsSource"},
		{"error finish reason empty", fields{"spec.errorFinishReasons": []any{""}}, "spec.errorFinishReasons[0]"},
		{"error finish reason twice", fields{"spec.errorFinishReasons": []any{"a", "a"}}, "spec.errorFinishReasons[1]"},
		{"no error finish reasons", fields{"spec.errorFinishReasons": []any{}}, ""},

		{"timeout of 0", fields{"spec.timeoutSeconds": int64(0)}, "spec.timeoutSeconds"},
		{"retries of 101", fields{"spec.retries": int64(101)}, "spec.retries"},
		{"grace period of 0", fields{"spec.terminationGracePeriodSeconds": int64(0)}, ""},
		{"grace period of more than a day", fields{"spec.terminationGracePeriodSeconds": int64(86401)},
			"spec.terminationGracePeriodSeconds"},
		{"interruption policy", fields{"spec.interruptionPolicy": "Fail"}, ""},
		{"interruption policy unknown", fields{"spec.interruptionPolicy": "Ignore"}, "spec.interruptionPolicy"},
		{"interruptions of 1000", fields{"spec.maxInterruptions": int64(1000)}, ""},
		{"interruptions of 1001", fields{"spec.maxInterruptions": int64(1001)}, "spec.maxInterruptions"},
		{"pod retention of more than a year", fields{"spec.podRetentionSeconds": int64(31536001)}, "spec.podRetentionSeconds"},
		{"TTL of -1", fields{"spec.ttlSecondsAfterFinished": int64(-1)}, "spec.ttlSecondsAfterFinished"},
		{"queue name", fields{"spec.queueName": "team-a"}, ""},
		{"queue name in upper case", fields{"spec.queueName": "Team"}, "spec.queueName"},
		{"concurrency", fields{"spec.concurrency.max": int64(2), "spec.concurrency.group": "shop.example"}, ""},
		{"concurrency of nothing", fields{"spec.concurrency": map[string]any{}}, ""},
		{"concurrency of 0", fields{"spec.concurrency.max": int64(0)}, "spec.concurrency.max"},
		{"concurrency of 100000", fields{"spec.concurrency.max": int64(100000)}, ""},
		{"concurrency of 100001", fields{"spec.concurrency.max": int64(100001)}, "spec.concurrency.max"},
		{"group empty", fields{"spec.concurrency.group": ""}, "spec.concurrency.group"},
		{"group in upper case", fields{"spec.concurrency.group": "Shop"}, "spec.concurrency.group"},
		{"group that ends in a dot", fields{"spec.concurrency.group": "shop."}, "spec.concurrency.group"},
		{"group of 63 characters", fields{"spec.concurrency.group": long(63)}, ""},
		{"group of 64 characters", fields{"spec.concurrency.group": long(64)}, "spec.concurrency.group"},

		{"labels of one's own", label("example.com/team", "data"), ""},
		{"label without a prefix", label("team", ""), ""},
		{"label under a name that ends like a reserved one", label("notkubernetes.io/a", "v"), ""},
		{"label of the operator", label("scrapethis.app/spiderjob", "other"), "spec.pod.labels"},
		{"label under the operator's name", label("x.scrapethis.app/a", "v"), "spec.pod.labels"},
		{"label of Kubernetes", label("batch.kubernetes.io/job-name", "other"), "spec.pod.labels"},
		{"label of Kubernetes, short", label("k8s.io/a", "v"), "spec.pod.labels"},
		{"label name that is none", label("a b", "v"), "spec.pod.labels"},
		{"label value of 64 characters", label("a", long(64)), "spec.pod.labels.a"},
		{"label value that is none", label("a", "b c"), "spec.pod.labels.a"},
		{"annotation name that is none", fields{"spec.pod.annotations": map[string]any{"a b": "v"}}, "spec.pod.annotations"},
		{"annotation value of any text", fields{"spec.pod.annotations": map[string]any{"example.com/note": "a b\n{}"}}, ""},
		{"33 labels", fields{"spec.pod.labels": entries(33)}, "spec.pod.labels"},

		{"environment", env("A", "B"), ""},
		{"environment variable twice", env("A", "A"), "spec.pod.env[1]"},
		{"environment variable of the operator", env("SPIDER_ARGUMENTS"), "spec.pod.env"},
		{"environment variable without a name", fields{"spec.pod.env": []any{map[string]any{"value": "v"}}}, "spec.pod.env[0].name"},
		{"volume twice", fields{"spec.pod.volumes": []any{map[string]any{"name": "a"}, map[string]any{"name": "a"}}},
			"spec.pod.volumes[1]"},
		{"resources that are none", fields{"spec.pod.resources": map[string]any{"limits": map[string]any{"cpu": "much"}}},
			"spec.pod.resources.limits.cpu"},
	})
}

func TestAPIKeyValidation(t *testing.T) {
	hash := minimal["APIKey"]["spec.hash"].(string)

	testCandidates(t, "APIKey", []candidate{
		{"the least", nil, ""},
		{"all of it", fields{"spec.userID": "ann", "spec.access": "Read", "spec.expiresAt": "2030-01-01T00:00:00Z",
			"spec.description": "CI"}, ""},
		{"access that there is not", fields{"spec.access": "Write"}, "spec.access"},
		{"access empty", fields{"spec.access": ""}, "spec.access"},
		{"unknown field", fields{"spec.key": "st_secret"}, "spec.key"},
		{"no spec", fields{"spec": nil}, "spec"},
		{"no keyID", fields{"spec.keyID": nil}, "spec.keyID"},
		{"keyID of 15 characters", fields{"spec.keyID": "0123456789abcde"}, "spec.keyID"},
		{"keyID of 17 characters", fields{"spec.keyID": "0123456789abcdefg"}, "spec.keyID"},
		{"keyID in upper case", fields{"spec.keyID": "0123456789ABCDEF"}, "spec.keyID"},
		{"no hash", fields{"spec.hash": nil}, "spec.hash"},
		{"hash too short", fields{"spec.hash": hash[1:]}, "spec.hash"},
		{"hash in upper case", fields{"spec.hash": strings.ToUpper(hash)}, "spec.hash"},
		{"userID with a space", fields{"spec.userID": "a b"}, "spec.userID"},
		{"userID empty", fields{"spec.userID": ""}, "spec.userID"},
		{"expiry that is no time", fields{"spec.expiresAt": "tomorrow"}, "spec.expiresAt"},
		{"description of 257 characters", fields{"spec.description": strings.Repeat("x", 257)}, "spec.description"},
	})
}

func TestSpiderQuotaValidation(t *testing.T) {
	groups := func(n int) fields {
		return fields{"spec.groups": items(n, func(i int) any {
			return map[string]any{"name": fmt.Sprint("group-", i), "max": int64(1)}
		})}
	}
	group := func(name string, limit int64) fields {
		return fields{"spec.groups": []any{map[string]any{"name": name, "max": limit}}}
	}
	weights := func(n int) fields {
		return fields{"spec.weights": items(n, func(i int) any {
			return map[string]any{"userID": fmt.Sprint("user-", i), "weight": int64(1)}
		})}
	}
	weight := func(user string, weight int64) fields {
		return fields{"spec.weights": []any{map[string]any{"userID": user, "weight": weight}}}
	}
	candidates := []candidate{
		{"the least", nil, ""},
		{"no limit", fields{"spec": map[string]any{}}, ""},
		{"all of it", fields{
			"spec.maxPriority": int64(0), "spec.maxRunning": int64(50), "spec.maxRunningPerUser": int64(10),
			"spec.maxQueued": int64(10000), "spec.maxQueuedPerUser": int64(1000), "spec.defaultGroupMax": int64(0),
			"spec.groups":  []any{map[string]any{"name": "shop.example", "max": int64(3)}},
			"spec.weights": []any{map[string]any{"userID": "ann@example.com", "weight": int64(2)}},
		}, ""},
		{"no spec", fields{"spec": nil}, "spec"},
		{"unknown field", fields{"spec.maxWaiting": int64(1)}, "spec.maxWaiting"},
		{"another name", fields{"metadata.name": "mine"}, "metadata.name must be default"},
		{"priority of -1", fields{"spec.maxPriority": int64(-1)}, "spec.maxPriority"},
		{"priority of 1000", fields{"spec.maxPriority": int64(1000)}, ""},
		{"priority of 1001", fields{"spec.maxPriority": int64(1001)}, "spec.maxPriority"},
		{"limit of other groups of a million", fields{"spec.defaultGroupMax": int64(1000000)}, ""},
		{"limit of other groups of more than a million", fields{"spec.defaultGroupMax": int64(1000001)}, "spec.defaultGroupMax"},
		{"limit of other groups of -1", fields{"spec.defaultGroupMax": int64(-1)}, "spec.defaultGroupMax"},
		{"256 groups", groups(256), ""},
		{"257 groups", groups(257), "spec.groups"},
		{"group twice", fields{"spec.groups": []any{map[string]any{"name": "a", "max": int64(1)}, map[string]any{"name": "a", "max": int64(2)}}},
			"spec.groups[1]"},
		{"group without a limit", fields{"spec.groups": []any{map[string]any{"name": "a"}}}, "spec.groups[0].max"},
		{"group without a name", fields{"spec.groups": []any{map[string]any{"max": int64(1)}}}, "spec.groups[0].name"},
		{"group in upper case", group("Shop", 1), "spec.groups[0].name"},
		{"group of 63 characters", group(strings.Repeat("x", 63), 1), ""},
		{"group of 64 characters", group(strings.Repeat("x", 64), 1), "spec.groups[0].name"},
		{"group's limit of 0", group("a", 0), "spec.groups[0].max"},
		{"group's limit of a million", group("a", 1000000), ""},
		{"group's limit of more than a million", group("a", 1000001), "spec.groups[0].max"},
		{"1024 weights", weights(1024), ""},
		{"1025 weights", weights(1025), "spec.weights"},
		{"weight twice", fields{"spec.weights": []any{map[string]any{"userID": "a", "weight": int64(1)}, map[string]any{"userID": "a", "weight": int64(2)}}},
			"spec.weights[1]"},
		{"weight of 0", weight("ann", 0), "spec.weights[0].weight"},
		{"weight of 100", weight("ann", 100), ""},
		{"weight of 101", weight("ann", 101), "spec.weights[0].weight"},
		{"weight of nobody", weight("", 1), "spec.weights[0].userID"},
		{"weight of a user with a space", weight("a b", 1), "spec.weights[0].userID"},
	}
	for _, name := range []string{"maxRunning", "maxRunningPerUser", "maxQueued", "maxQueuedPerUser"} {
		candidates = append(candidates,
			candidate{name + " of 0", fields{"spec." + name: int64(0)}, "spec." + name},
			candidate{name + " of 1", fields{"spec." + name: int64(1)}, ""},
			candidate{name + " of a million", fields{"spec." + name: int64(1000000)}, ""},
			candidate{name + " of more than a million", fields{"spec." + name: int64(1000001)}, "spec." + name})
	}
	testCandidates(t, "SpiderQuota", candidates)
}

func TestSpiderScheduleValidation(t *testing.T) {
	catchUp := func(overlap, policy string) fields {
		set := fields{"spec.catchUp.policy": policy}
		if overlap != "" {
			set["spec.overlap"] = overlap
		}
		return set
	}
	testCandidates(t, "SpiderSchedule", []candidate{
		{"the least", nil, ""},
		{"all of it", fields{
			"spec.timeZone": "Europe/Berlin", "spec.suspend": true, "spec.overlap": "Allow",
			"spec.catchUp.policy": "All", "spec.catchUp.windowSeconds": int64(3600), "spec.jitterSeconds": int64(3600),
			"spec.pauseAfterFailures": int64(3), "spec.startAt": "2030-01-01T00:00:00Z", "spec.endAt": "2031-01-01T00:00:00Z",
			"spec.resumedAt": "2030-01-01T00:00:00Z", "spec.displayName": "Nightly", "spec.description": "books",
			"spec.userID": "ann", "spec.arguments": map[string]any{"a": "1"}, "spec.settings": map[string]any{"A": "1"},
			"spec.timeoutSeconds": int64(60), "spec.startDeadlineSeconds": int64(60), "spec.retries": int64(1),
			"spec.ttlSecondsAfterFinished": int64(0), "spec.scheduledTimeArgument": "date", "spec.priority": int64(-5),
		}, ""},
		{"no cron", fields{"spec.cron": nil}, "spec.cron"},
		{"a long cron", fields{"spec.cron": strings.Repeat("0", 257)}, "spec.cron"},
		{"no Spider", fields{"spec.spiderRef": nil}, "spec.spiderRef"},
		{"unknown field", fields{"spec.schedule": "@daily"}, "spec.schedule"},
		{"unknown policy", fields{"spec.overlap": "Forbid"}, "spec.overlap"},
		{"catch-up of all, without overlap", catchUp("", "All"), "policy All needs overlap Allow"},
		{"catch-up of all, with another overlap", catchUp("Queue", "All"), "policy All needs overlap Allow"},
		{"catch-up of all", catchUp("Allow", "All"), ""},
		{"an end before the start", fields{"spec.startAt": "2031-01-01T00:00:00Z", "spec.endAt": "2030-01-01T00:00:00Z"}, "spec.endAt"},
		{"too high a priority", fields{"spec.priority": int64(1001)}, "spec.priority"},
		{"too low a priority", fields{"spec.priority": int64(-1001)}, "spec.priority"},
		{"too much jitter", fields{"spec.jitterSeconds": int64(3601)}, "spec.jitterSeconds"},
		{"an argument with =", fields{"spec.scheduledTimeArgument": "a=b"}, "spec.scheduledTimeArgument"},
		{"a name of 52 characters", fields{"metadata.name": strings.Repeat("s", 52)}, ""},
		{"a name of 53 characters", fields{"metadata.name": strings.Repeat("s", 53)}, "52 characters"},
	})
}
