package spiderjob

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/internal/allowed"
)

// build makes the Job of a SpiderJob of a Spider, which must be possible.
func build(t *testing.T, sj *v1alpha1.SpiderJob, spider *v1alpha1.Spider) (*corev1.PodTemplateSpec, *jobBuilder) {
	t.Helper()
	p, err := newPlan(sj, spider, testDefaults())
	if err != nil {
		t.Fatal(err)
	}
	job, err := buildJob(sj, spider, p, testDefaults())
	if err != nil {
		t.Fatal(err)
	}
	return &job.Spec.Template, &jobBuilder{job}
}

func TestCommandLine(t *testing.T) {
	withArguments := func(arguments map[string]v1alpha1.ArgumentValue) *v1alpha1.SpiderJob {
		sj := makeSpiderJob().SpiderJob
		sj.Spec.Arguments = arguments
		return sj
	}
	defaults := []string{
		"-s", "LOGSTATS_INTERVAL=10", "-s", "LOG_ENABLED=True", "-s", "LOG_FILE=", "-s", "LOG_LEVEL=INFO",
		"-s", "REMOTE_CONTROL_ENABLED=False", "-s", "STATS_DUMP=True",
	}
	for _, c := range []struct {
		name   string
		sj     *v1alpha1.SpiderJob
		change func(*v1alpha1.SpiderSpec)
		want   []string
	}{
		{"by name", makeSpiderJob().SpiderJob, nil, append([]string{"scrapy", "crawl", "books"}, defaults...)},
		{"by another name", makeSpiderJob().SpiderJob, func(s *v1alpha1.SpiderSpec) { s.Name = "Books_2.x" },
			append([]string{"scrapy", "crawl", "Books_2.x"}, defaults...)},
		{"by file", makeSpiderJob().SpiderJob, func(s *v1alpha1.SpiderSpec) { s.RepoPath = "spiders/$(X).py" },
			append([]string{"python3", "-c", launcher, "books", "spiders/$$(X).py"}, defaults...)},
		{"by file and name", makeSpiderJob().SpiderJob,
			func(s *v1alpha1.SpiderSpec) { s.Name, s.RepoPath = "Größe $(X)", "a.py" },
			append([]string{"python3", "-c", launcher, "Größe $$(X)", "a.py"}, defaults...)},
		{"arguments are data", withArguments(map[string]v1alpha1.ArgumentValue{"b": "$(SECRET) $$ --x", "a": "1 2\n'\""}), nil,
			append([]string{"scrapy", "crawl", "books", "-a", "a=1 2\n'\"", "-a", "b=$$(SECRET) $$$$ --x"}, defaults...)},
		{"the Spider's settings replace the operator's", makeSpiderJob().SpiderJob,
			func(s *v1alpha1.SpiderSpec) {
				s.Settings = map[string]v1alpha1.SettingValue{"LOG_FILE": "/logs/a", "REMOTE_CONTROL_ENABLED": "1"}
			},
			[]string{
				"scrapy", "crawl", "books", "-s", "LOGSTATS_INTERVAL=10", "-s", "LOG_ENABLED=True", "-s", "LOG_FILE=/logs/a",
				"-s", "LOG_LEVEL=INFO", "-s", "REMOTE_CONTROL_ENABLED=1", "-s", "STATS_DUMP=True",
			}},
		{"the job's settings replace the Spider's", settings(makeSpiderJob(), "DOWNLOAD_DELAY").SpiderJob,
			func(s *v1alpha1.SpiderSpec) {
				s.Settings = map[string]v1alpha1.SettingValue{"DOWNLOAD_DELAY": "5"}
				s.AllowedSettings = []string{"DOWNLOAD_DELAY"}
			},
			append([]string{"scrapy", "crawl", "books", "-s", "DOWNLOAD_DELAY=x"}, defaults...)},
		{"a command is run as it stands", makeSpiderJob().SpiderJob,
			func(s *v1alpha1.SpiderSpec) { s.Command = []string{"/crawl", "$(SHOP)"} }, []string{"/crawl", "$(SHOP)"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			spider := makeSpider()
			if c.change != nil {
				c.change(&spider.Spec)
			}
			template, _ := build(t, c.sj, spider)
			if diff := cmp.Diff(c.want, template.Spec.Containers[0].Command); diff != "" {
				t.Errorf("command line (-want +got):\n%s", diff)
			}
		})
	}
}

// expand is what a kubelet does to the command and the environment of a container; see
// k8s.io/kubernetes/third_party/forked/golang/expansion.
func expand(s string, env map[string]string) string {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] != '$' || i+1 == len(s):
			out.WriteByte(s[i])
		case s[i+1] == '$':
			out.WriteByte('$')
			i++
		case s[i+1] == '(':
			name, _, closed := strings.Cut(s[i+2:], ")")
			if value, known := env[name]; closed && known {
				out.WriteString(value)
				i += len(name) + 2
			} else {
				out.WriteByte('$')
			}
		default:
			out.WriteByte('$')
		}
	}
	return out.String()
}

// TestArgumentsReachTheSpiderToTheByte checks that any argument, on the command line and in the environment, reaches the
// spider unchanged.
func TestArgumentsReachTheSpiderToTheByte(t *testing.T) {
	secrets := map[string]string{"X": "secret", "HOME": "/tmp"}
	rapid.Check(t, func(rt *rapid.T) {
		value := rapid.StringMatching(`([$()XHOME"'\\\n -]|[a-z]|é|\$\(X\)|\$\(HOME\)){0,40}`).Draw(rt, "value")
		sj := makeSpiderJob().SpiderJob
		sj.Spec.Arguments = map[string]v1alpha1.ArgumentValue{"a": v1alpha1.ArgumentValue(value)}

		template, _ := build(t, sj, makeSpider())
		if got := expand(template.Spec.Containers[0].Command[4], secrets); got != "a="+value {
			rt.Errorf("%q reaches Scrapy as %q", value, got)
		}

		spider := makeSpider()
		spider.Spec.Command = []string{"/crawl"}
		template, _ = build(t, sj, spider)
		got := map[string]string{}
		if err := json.Unmarshal([]byte(expand(envOf(template, "SPIDER_ARGUMENTS"), secrets)), &got); err != nil || got["a"] != value {
			rt.Errorf("%q reaches the command as %q (%v)", value, got["a"], err)
		}
	})
}

func envOf(template *corev1.PodTemplateSpec, name string) string {
	env := template.Spec.Containers[0].Env
	if i := slices.IndexFunc(env, func(e corev1.EnvVar) bool { return e.Name == name }); i >= 0 {
		return env[i].Value
	}
	return ""
}

func TestJobIsRestrictedUnlessTheSpiderLoosensIt(t *testing.T) {
	template, job := build(t, makeSpiderJob().SpiderJob, makeSpider())
	pod, container := template.Spec, template.Spec.Containers[0]
	if s := pod.SecurityContext; !*s.RunAsNonRoot || *s.RunAsUser != nonRootID ||
		s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		t.Errorf("the Pod's security context is %+v", s)
	}
	if s := container.SecurityContext; *s.AllowPrivilegeEscalation || !slices.Contains(s.Capabilities.Drop, "ALL") {
		t.Errorf("the container's security context is %+v", s)
	}
	if *pod.AutomountServiceAccountToken || *pod.EnableServiceLinks {
		t.Error("the Pod is given a token or service links")
	}
	if !*pod.ShareProcessNamespace {
		t.Error("the spider is process 1, and so ignores a SIGTERM in its first second")
	}
	if envOf(template, "HOME") != "/tmp" || container.VolumeMounts[0].MountPath != "/tmp" {
		t.Error("the spider has no home it can write to")
	}
	if *job.Spec.BackoffLimit != 0 || job.Spec.Template.Spec.ActiveDeadlineSeconds != nil {
		t.Errorf(
			"backoffLimit %d, activeDeadlineSeconds %v without retries and timeout", *job.Spec.BackoffLimit,
			job.Spec.Template.Spec.ActiveDeadlineSeconds,
		)
	}

	spider := makeSpider()
	spider.Spec.TimeoutSeconds, spider.Spec.Retries, spider.Spec.QueueName = ptr.To[int64](100), ptr.To[int32](2), "team"
	spider.Spec.Pod = v1alpha1.PodOptions{
		Labels:          map[string]v1alpha1.LabelValue{"team": "a", v1alpha1.LabelSpiderJob: "another"},
		Env:             []corev1.EnvVar{{Name: "HOME", Value: "/data"}},
		Volumes:         []corev1.Volume{{Name: "data"}},
		VolumeMounts:    []corev1.VolumeMount{{Name: "data", MountPath: "/tmp"}},
		SecurityContext: &corev1.PodSecurityContext{},

		ShareProcessNamespace: ptr.To(false),
	}
	template, job = build(t, makeSpiderJob().SpiderJob, spider)
	if envOf(template, "HOME") != "/data" || len(template.Spec.Volumes) != 2 || template.Spec.SecurityContext.RunAsUser != nil ||
		*template.Spec.ShareProcessNamespace {
		t.Error("the Spider's own choices are not kept")
	}
	if template.Labels["team"] != "a" || template.Labels[v1alpha1.LabelSpiderJob] != "run" {
		t.Errorf("labels are %v", template.Labels)
	}
	if *job.Spec.BackoffLimit != 0 || *job.Spec.Template.Spec.ActiveDeadlineSeconds != 100+30+3600 ||
		job.Labels[v1alpha1.LabelQueueName] != "team" {
		t.Errorf("job spec is %+v", job.Spec)
	}
}

func TestPlanRefusesWhatTheSpiderDoesNotAllow(t *testing.T) {
	for _, c := range []struct {
		name   string
		job    func(*v1alpha1.SpiderJobSpec)
		spider func(*v1alpha1.SpiderSpec)
		want   string
	}{
		{"a longer timeout", func(s *v1alpha1.SpiderJobSpec) { s.TimeoutSeconds = ptr.To[int64](61) },
			func(s *v1alpha1.SpiderSpec) { s.TimeoutSeconds = ptr.To[int64](60) }, "timeoutSeconds 61"},
		{"more retries", func(s *v1alpha1.SpiderJobSpec) { s.Retries = ptr.To[int32](1) }, nil, "retries 1"},
		{"a setting", func(s *v1alpha1.SpiderJobSpec) { s.Settings = map[string]v1alpha1.SettingValue{"A": "1"} }, nil, "settings.A"},
		{"too much", func(s *v1alpha1.SpiderJobSpec) {
			s.Arguments = map[string]v1alpha1.ArgumentValue{"a": v1alpha1.ArgumentValue(strings.Repeat("x", allowed.MaxArgumentsBytes))}
		}, nil, "32768 bytes"},
		{"a NUL", func(s *v1alpha1.SpiderJobSpec) { s.Arguments = map[string]v1alpha1.ArgumentValue{"a": "\x00"} }, nil, "NUL"},
		{"a NUL in a command", func(*v1alpha1.SpiderJobSpec) {},
			func(s *v1alpha1.SpiderSpec) { s.Command = []string{"/count", "\x00"} }, "command of"},
		{"a NUL in a setting", func(*v1alpha1.SpiderJobSpec) {},
			func(s *v1alpha1.SpiderSpec) { s.Settings = map[string]v1alpha1.SettingValue{"A": "\x00"} }, "setting A contains a NUL"},
	} {
		t.Run(c.name, func(t *testing.T) {
			sj, spider := makeSpiderJob().SpiderJob, makeSpider()
			c.job(&sj.Spec)
			if c.spider != nil {
				c.spider(&spider.Spec)
			}
			if _, err := newPlan(sj, spider, testDefaults()); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want one with %q", err, c.want)
			}
		})
	}
	defaults := testDefaults()
	defaults.SpiderImage = ""
	if _, err := newPlan(makeSpiderJob().SpiderJob, makeSpider(), defaults); err == nil || !strings.Contains(err.Error(), "image") {
		t.Errorf("error is %v, want one about the image", err)
	}
}

func TestPlanIsReadFromAnAlteredAnnotation(t *testing.T) {
	job := makeJob(makeSpiderJob().SpiderJob, func(p *plan) { p.TimeoutSeconds = 7 }).Job
	if p := planFromJob(viewJob(job), testDefaults()); p.TimeoutSeconds != 7 || p.StatsSource != v1alpha1.StatsFromScrapy {
		t.Errorf("plan reads back as %+v", p)
	}
	for _, note := range []string{"", "{", "[]", `{"retries": "x"}`, `{"graceSeconds": -5, "earlierAttempts": -1}`} {
		job.Annotations[v1alpha1.AnnotationPlan] = note
		if p := planFromJob(
			viewJob(job),
			testDefaults(),
		); p.TimeoutSeconds != 0 || p.GraceSeconds < 0 || p.EarlierAttempts < 0 ||
			p.Interruptions == "" {
			t.Errorf("note %q reads as %+v", note, p)
		}
	}
	job.Annotations[v1alpha1.AnnotationPlan] = `{"errorFinishReasons": ["sold out"]}`
	planFromJob(viewJob(job), testDefaults())
	if !slices.Contains(defaultErrorFinishReasons, "closespider_errorcount") {
		t.Errorf("a note has changed the default finish reasons of errors to %q", defaultErrorFinishReasons)
	}
}

func FuzzText(f *testing.F) {
	f.Add("a\x00b\xff\n…", 5)
	f.Fuzz(func(t *testing.T, s string, n int) {
		n = 4 + (n&0xff+0x100)%0x100
		got := truncate(oneLine(s), n)
		if len(got) > n || strings.ToValidUTF8(got, "") != got || strings.ContainsAny(got, "\n\x00\x1b") {
			t.Errorf("%q at most %d is %q", s, n, got)
		}
		_ = exitMessage(s)
	})
}

func TestBackOffGrowsWithinBounds(t *testing.T) {
	for age, want := range map[time.Duration]time.Duration{0: podPatience, 20 * time.Second: 20 * time.Second, time.Hour: maxBackOff} {
		if got := backOff(age); got != want {
			t.Errorf("after %s the next look is in %s, want %s", age, got, want)
		}
	}
}
