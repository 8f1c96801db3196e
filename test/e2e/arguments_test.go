package e2e

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/test/e2e/harness"
)

// secretWord is in the environment of the spiders here, as SECRET_WORD.
const secretWord = "not-for-arguments"

// hostile are arguments as JSON texts, by name.
var hostile = map[string]string{
	// Every type of JSON, byte for byte.
	"text": `"plain"`, "empty": `""`, "yes": `true`, "no": `false`, "nothing": `null`,
	"integer": `-0`, "decimal": `1.0`, "exponent": `1e400`, "huge": `123456789012345678901234567890`,
	"list": `[1, "two", [], {"a" : null}]`, "object": `{"b": 1, "a": {"<&>": "\u00e9"}}`, "spaced": `{ "a" : [ 1 , 2 ] }`,
	// What shells, options and files are made of.
	"quotes": `"it's \"quoted\" and \\back\\slashed\\"`, "backticks": "\"`id` $(id) ; id | id & id > /tmp/x\"",
	"option": `"--option"`, "short": `"-s LOG_FILE=/tmp/x"`, "setting": `"-s"`, "dashes": `"--"`, "equals": `"a=b=c=="`,
	"glob":      `"* ? [a-z] ~ {a,b} !"`,
	"traversal": `"../../etc/passwd"`, "address": `"file:///etc/passwd"`, "percent": `"%s %(x)s %n {0} {{x}}"`,
	// White space and control characters.
	"newlines": `"\n one\r\n two \n"`, "blanks": `"  \t  "`, "controls": `"\u0001\u0007\u001b[31m\u007f\u0085"`,
	// What Kubernetes expands.
	"home": `"$(HOME)"`, "secret": `"$(SECRET_WORD)"`, "doubled": `"$$(SECRET_WORD)"`, "tripled": `"$$$(SECRET_WORD)"`,
	"shell": `"$SECRET_WORD ${SECRET_WORD} $$ $ $( $) $()"`, "nested": `{"a": ["$(SECRET_WORD)"]}`, "trailing": `"x$"`,
	"both": `"$(SPIDER_ARGUMENTS) $(SPIDER_SETTINGS) $(PATH)"`,
	// All of Unicode.
	"accents": `"Größe, naïve, Ærøskøbing"`, "scripts": `"日本語 العربية עברית हिन्दी"`, "emoji": `"🕷️👩‍👩‍👧"`,
	"escaped":    `"\ud83d\udd77 \u65e5"`,
	"separators": `"\u2028\u2029\ufeff\u200b\u202e"`, "limits": `"\uffff\ud800\udc00\udbff\udfff"`,
	"a name of words": `"blanks"`, "a.b-c": `"dots and dashes"`, "1": `"a digit"`, "$(HOME)": `"an expansion"`, "größe": `"a name"`,
	"名前": `"another"`, "_": `"the shortest"`,
}

// textOf is what a spider receives for a JSON value: a string as it is, any other value as its compact JSON text.
func textOf(t *testing.T, value string) string {
	t.Helper()
	var text string
	if json.Unmarshal([]byte(value), &text) == nil && value != "null" {
		return text
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, []byte(value)); err != nil {
		t.Fatalf("compact %s: %v", value, err)
	}
	return compact.String()
}

func body(spider *v1alpha1.Spider, arguments map[string]string) string {
	members := make([]string, 0, len(arguments))
	for name, value := range arguments {
		members = append(members, `"`+name+`": `+value)
	}
	return `{"spider_id": "` + spider.ID() + `", "arguments": {` + strings.Join(members, ",\n\t") + `}}`
}

// printsItsArguments is a spider with its own command that logs what it was given, like the demo's spider args.
const printsItsArguments = `
import json, os
for kind, variable in (("argument", "SPIDER_ARGUMENTS"), ("setting", "SPIDER_SETTINGS")):
    for name, value in json.loads(os.environ[variable]).items():
        print(json.dumps({"kind": kind, "name": name, "hex": value.encode().hex()}))
`

func TestArgumentsReachTheSpiderToTheByte(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	n.Create(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "words"}, StringData: map[string]string{"SECRET_WORD": secretWord},
	})
	withSecret := func(spec *v1alpha1.SpiderSpec) {
		spec.Pod.EnvFrom = []corev1.EnvFromSource{{
			SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "words"}},
		}}
		spec.AllowedSettings = []string{"USER_AGENT"}
	}
	// Kubernetes tears long lines apart where standard output and standard error meet in one log.
	silently := func(spec *v1alpha1.SpiderSpec) {
		spec.Settings = map[string]v1alpha1.SettingValue{"LOG_LEVEL": "CRITICAL"}
	}
	args := n.Scrapy("args", withSecret, silently)
	filed := n.Scrapy("filed", withSecret, silently, func(spec *v1alpha1.SpiderSpec) {
		spec.Name, spec.RepoPath = "args", "bookshop/spiders/args.py"
	})
	own := n.Python("own", printsItsArguments, withSecret)
	api := n.API("alice")

	// One argument as large as all may be together.
	largest := map[string]string{"x": `"` + strings.Repeat(`$\"\n€`, (32<<10-1)/6) + `"`}
	// Six times as long in JSON, which is how a spider with a command of its own gets its arguments.
	controls := map[string]string{"x": `"` + strings.Repeat(`\u0001`, 20_000) + `"`}
	for name, tt := range map[string]struct {
		spider    *v1alpha1.Spider
		arguments map[string]string
		settings  string
	}{
		"through Scrapy's command line":                           {args, hostile, ""},
		"through the launcher":                                    {filed, hostile, ""},
		"through the environment":                                 {own, hostile, ""},
		"32 KiB through Scrapy's command line":                    {args, largest, ""},
		"32 KiB through the environment":                          {own, largest, ""},
		"20,000 control characters through Scrapy's command line": {args, controls, ""},
		"20,000 control characters through the environment":       {own, controls, ""},
		"a setting through Scrapy's command line":                 {args, map[string]string{}, "$(SECRET_WORD) $$(HOME) --x='y'"},
		"a setting through the environment":                       {own, map[string]string{}, "$(SECRET_WORD) $$(HOME) --x='y'"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, api := n.In(t), api.In(t)
			request := body(tt.spider, tt.arguments)
			if tt.settings != "" {
				request = strings.TrimSuffix(request, "}") + `, "settings": {"USER_AGENT": "` + tt.settings + `"}}`
			}
			var started struct {
				JobID string `json:"jobId"`
			}
			api.Want(http.StatusOK, harness.Request{Method: http.MethodPost, Path: "/api/v1/jobs", Body: request}, &started)
			job := api.Wait(started.JobID, crawl)
			if job.Status != "finished" {
				t.Fatalf("the job ended %s, %s: %s", job.Status, job.Reason, job.Message)
			}
			want := map[string]string{}
			for name, value := range tt.arguments {
				want[name] = textOf(t, value)
			}
			// An answer to a wait leaves out long ones.
			if job = api.Get(started.JobID); !maps.Equal(job.Arguments, want) {
				t.Errorf("the API shows the arguments %q, not %q", job.Arguments, want)
			}
			log := n.Log(n.Pods(started.JobID)[0].Name)
			compare(t, reported(t, log, "argument"), want)
			if got := reported(t, log, "setting")["USER_AGENT"]; got != tt.settings {
				t.Errorf("the setting USER_AGENT arrived as %q, not %q", got, tt.settings)
			}
			if strings.Contains(log, secretWord) || strings.Contains(log, hex.EncodeToString([]byte(secretWord))) {
				t.Errorf("the Secret can be read out:\n%s", log)
			}
		})
	}
}

// reported is what a spider logged that it was given, by name.
func reported(t *testing.T, log, kind string) map[string]string {
	t.Helper()
	values := map[string]string{}
	for line := range strings.Lines(log) {
		if !strings.HasPrefix(line, `{"kind": "`+kind+`"`) {
			continue
		}
		var said struct{ Name, Hex string }
		err := json.Unmarshal([]byte(line), &said)
		var value []byte
		if err == nil {
			value, err = hex.DecodeString(said.Hex)
		}
		if err != nil {
			t.Fatalf("read %.200s: %v", line, err)
		}
		values[said.Name] = string(value)
	}
	return values
}

func compare(t *testing.T, got, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if arrived, ok := got[name]; !ok {
			t.Errorf("argument %s did not arrive", name)
		} else if arrived != value {
			t.Errorf("argument %s arrived as %.200q, not %.200q", name, arrived, value)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("argument %s arrived, which was not given", name)
		}
	}
}
