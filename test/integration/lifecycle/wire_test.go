package lifecycle

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
)

// errDead is the error of a replica's calls after its death.
var errDead = errors.New("this replica is dead")

// call is a call of kube-apiserver, as in "patch spiderjobs/status run".
type call struct {
	verb     string
	resource string // including its subresource
	name     string
	// answer is the HTTP status that the replica received, 0 if none: it had ended by then.
	answer int
}

func (c call) String() string { return strings.TrimSpace(c.verb + " " + c.resource + " " + c.name) }

// kind is the call without the name of its object.
func (c call) kind() string { return c.verb + " " + c.resource }

func (c call) write() bool { return c.verb != "get" && c.verb != "list" }

// death says at which of a replica's calls it dies.
type death struct {
	// at is the number of the call, from 1; 0 stands for never.
	at int
	// answered says that the call still takes effect, although its answer is not received any more.
	answered bool
}

func (d death) String() string {
	if d.at == 0 {
		return "never"
	}
	if d.answered {
		return fmt.Sprintf("after call %d", d.at)
	}
	return fmt.Sprintf("before call %d", d.at)
}

// wire connects a replica to kube-apiserver. It records the calls that the controller decides on: not the watches, the lists
// that they begin with, discovery, or what leader election needs.
type wire struct {
	death death
	// died is closed at death, after stop was called.
	died chan struct{}
	stop func()

	mu    sync.Mutex
	calls []call
	dead  bool
}

// pass forwards a request, unless the replica is dead or dies of it.
func (w *wire) pass(next http.RoundTripper, request *http.Request) (*http.Response, error) {
	noted, dead, dying := w.note(request)
	switch {
	case dead:
		return nil, errDead
	case dying && !w.death.answered:
		w.cut()
		return nil, errDead
	}
	response, err := next.RoundTrip(request)
	if dying {
		if err == nil {
			_ = response.Body.Close()
		}
		w.cut()
		return nil, errDead
	}
	if err == nil && noted >= 0 {
		w.hear(noted, response.StatusCode)
	}
	return response, err
}

// note records a request that counts, and returns the index of its record, negative for one that does not count.
func (w *wire) note(request *http.Request) (noted int, dead, dying bool) {
	c, counts := parseCall(request)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dead || !counts {
		return -1, w.dead, false
	}
	w.calls = append(w.calls, c)
	return len(w.calls) - 1, false, len(w.calls) == w.death.at
}

// hear records the answer to a call.
func (w *wire) hear(noted, answer int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls[noted].answer = answer
}

// cut ends the connection: nothing passes any more.
func (w *wire) cut() {
	w.mu.Lock()
	already := w.dead
	w.dead = true
	w.mu.Unlock()
	if !already {
		w.stop()
		close(w.died)
	}
}

func (w *wire) isDead() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dead
}

// noted returns the calls so far.
func (w *wire) noted() []call {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]call(nil), w.calls...)
}

// parseCall parses a request into a call, and reports whether it is one that counts.
func parseCall(request *http.Request) (c call, counts bool) {
	path := strings.Split(strings.Trim(request.URL.Path, "/"), "/")
	switch {
	case path[0] == "api" && len(path) > 2:
		path = path[2:] // api/v1
	case path[0] == "apis" && len(path) > 3:
		path = path[3:] // apis/batch/v1
	default:
		return c, false
	}
	if path[0] == "namespaces" && len(path) > 2 {
		path = path[2:]
	}
	c.resource = path[0]
	if len(path) > 1 {
		c.name = path[1]
	}
	if len(path) > 2 {
		c.resource += "/" + strings.Join(path[2:], "/")
	}
	c.verb = map[string]string{
		http.MethodGet: "get", http.MethodPost: "create", http.MethodPut: "update", http.MethodPatch: "patch",
		http.MethodDelete: "delete",
	}[request.Method]
	if c.verb == "get" && c.name == "" {
		c.verb = "list"
	}
	query := request.URL.Query()
	cacheFills := query.Get("watch") != "" || c.verb == "list" && query.Has("resourceVersion")
	return c, !cacheFills && c.resource != "leases"
}
