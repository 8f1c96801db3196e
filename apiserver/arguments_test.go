package apiserver

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/contract"
)

// withArguments gives a job an argument a, so that name and value have so many bytes.
func withArguments(bytes int) func(*v1alpha1.SpiderJob) {
	return func(job *v1alpha1.SpiderJob) {
		job.Spec.Arguments = map[string]v1alpha1.ArgumentValue{"a": v1alpha1.ArgumentValue(strings.Repeat("x", bytes-1))}
	}
}

// shows reports how a job's arguments are shown: how long, if they are, and whether they are left out.
func shows(job contract.Job) string {
	size := 0
	if job.Arguments != nil {
		size = len(*job.Arguments)
	}
	return fmt.Sprintf("shown %t, omitted %t", size > 0, job.ArgumentsOmitted != nil && *job.ArgumentsOmitted)
}

// Long arguments are in no answer but that to a read of the one job, which asks Kubernetes for them.
func TestLongArgumentsAreReadWhenTheyAreAskedFor(t *testing.T) {
	const kept, omitted, absent = "shown true, omitted false", "shown false, omitted true", "shown false, omitted false"
	for _, test := range []struct {
		name                      string
		change                    func(*v1alpha1.SpiderJob)
		get, listed, waited, told string
		reads                     int
	}{
		{"none", func(*v1alpha1.SpiderJob) {}, absent, absent, absent, absent, 0},
		{"as many as are kept", withArguments(256), kept, omitted, kept, kept, 0},
		{"one more", withArguments(257), kept, omitted, omitted, omitted, 1},
		{"as many as there can be", withArguments(32 << 10), kept, omitted, omitted, omitted, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newTestAPI(t)
			key := f.key("team", "")
			events := f.open(key, eventsPath)
			events.want("ready", "")
			path := "/api/v1/jobs/" + f.apply("team", "a-job", test.change)
			var got, waited, told contract.Job
			var list []contract.Job
			f.get(key, path).want(http.StatusOK).into(&got)
			f.get(key, path+"?wait=1ms").want(http.StatusOK).into(&waited)
			f.get(key, "/api/v1/jobs").want(http.StatusOK).into(&list)
			answer{t: t, body: events.want("job", "").data}.into(&told)
			for what, shown := range map[string][2]string{
				"a read": {shows(got), test.get}, "a wait": {shows(waited), test.waited}, "a list": {shows(list[0]), test.listed},
				"an event": {shows(told), test.told},
			} {
				if shown[0] != shown[1] {
					t.Errorf("%s: arguments are %s; want %s", what, shown[0], shown[1])
				}
			}
			if n := f.cluster.count("get"); n != test.reads {
				t.Errorf("Kubernetes was asked %d times, want %d", n, test.reads)
			}
		})
	}
}

// What is the same as the caller knows it costs no read, and an answer without arguments is never taken for one with them.
func TestLongArgumentsAndETags(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	path := "/api/v1/jobs/" + f.apply("team", "a-job", withArguments(1000))
	read := func(method, path, tag string) answer {
		t.Helper()
		c := call{method: method, path: path, key: key}
		if tag != "" {
			c.header = map[string]string{"If-None-Match": tag}
		}
		return f.send(c)
	}
	whole := f.get(key, path)
	tag := whole.header.Get("ETag")
	f.cluster.fail = func(string, bool) error { return errors.New("connection refused") }
	before := f.cluster.count("get")
	if a := read(http.MethodGet, path, tag).want(http.StatusNotModified); a.header.Get("ETag") != tag {
		t.Errorf("304 has the ETag %s, want %s", a.header.Get("ETag"), tag)
	}
	head := read(http.MethodHead, path, "").want(http.StatusOK)
	if head.header.Get("ETag") != tag || head.header.Get("Content-Length") != "" {
		t.Errorf("HEAD is answered with %v, though nobody knows the length", head.header)
	}
	if n := f.cluster.count("get"); n != before {
		t.Errorf("Kubernetes was asked %d times for nothing", n-before)
	}

	var job contract.Job
	partial := f.get(key, path).want(http.StatusOK)
	partial.into(&job)
	partialTag := partial.header.Get("ETag")
	if shows(job) != "shown false, omitted true" || partialTag == tag {
		t.Errorf("while Kubernetes cannot be reached: %s with ETag %s, like the whole job", partial.body, partialTag)
	}
	if a := read(http.MethodGet, path+"?wait=1ms", "").want(http.StatusOK); a.header.Get("ETag") != partialTag {
		t.Errorf("a wait has the ETag %s, want %s", a.header.Get("ETag"), partialTag)
	}
	read(http.MethodGet, path+"?wait=1ms", partialTag).want(http.StatusNotModified)
	read(http.MethodGet, path+"?wait=1ms", tag).want(http.StatusNotModified)

	f.cluster.fail = nil
	if a := read(http.MethodGet, path, partialTag).want(http.StatusOK); a.body != whole.body || a.header.Get("ETag") != tag {
		t.Errorf("once Kubernetes can be reached the answer is %s with ETag %s", a.body, a.header.Get("ETag"))
	}
}

// The view is behind: it has alice's job still, where bob's is now.
func TestArgumentsOfAJobThatHasBecomeAnothersAreNotShown(t *testing.T) {
	f := newTestAPI(t)
	alice := f.key("team", "alice")
	id := f.apply("team", "a", ofAlice, withArguments(1000))
	f.cluster.held = true
	f.recreate("team", "a", "bob", func(job *v1alpha1.SpiderJob) {
		job.Spec.Arguments = map[string]v1alpha1.ArgumentValue{"token": v1alpha1.ArgumentValue(strings.Repeat("secret", 100))}
	})
	a := f.get(alice, "/api/v1/jobs/"+id).want(http.StatusOK)
	if strings.Contains(a.body, "secret") || !strings.Contains(a.body, `"arguments_omitted":true`) {
		t.Errorf("alice is shown %s", a.body)
	}
}
