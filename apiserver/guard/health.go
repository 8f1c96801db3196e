package guard

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
)

// degradedAfter is how long Kubernetes may be silent before the server calls itself degraded. Watches are renewed now and then,
// which takes a moment.
const degradedAfter = 2 * time.Second

// readyAfter is how long after its start the server waits for namespaces that are neither read nor refused, before it serves
// the others.
const readyAfter = time.Minute

// healthAnswer is the answer of the probes.
type healthAnswer struct {
	Status  string `json:"status"`
	Message string `json:"message,omitempty"`
	// Waiting are namespaces whose state has not been read yet, and Refused those that Kubernetes does not let be read. Only the
	// kubelet and administrators see them: the names belong to tenants.
	Waiting []string `json:"waiting,omitempty"`
	Refused []string `json:"refused,omitempty"`
}

// Livez reports that the server runs.
func (g *Guard) Livez(c *gin.Context) { c.JSON(http.StatusOK, healthAnswer{Status: "ok"}) }

// Readyz reports whether requests should come here.
func (g *Guard) Readyz(c *gin.Context) {
	status, answer := g.readiness()
	answer.Waiting, answer.Refused = nil, nil
	c.JSON(status, answer)
}

// readiness decides whether requests should come here. A server that has lost Kubernetes stays ready: all replicas have lost it
// then, and reads continue. So does one that cannot read some namespaces, as long as it can read any: only their callers are
// refused.
func (g *Guard) readiness() (status int, answer healthAnswer) {
	if g.leaving.Load() {
		return http.StatusServiceUnavailable, healthAnswer{Status: "stopping"}
	}
	served, age := 0, time.Duration(0)
	for scope, state := range g.health.Scopes() {
		name := cmp.Or(scope, "all namespaces")
		switch {
		case state.Refused:
			answer.Refused = append(answer.Refused, name)
		case !state.Synced:
			answer.Waiting = append(answer.Waiting, name)
		default:
			served++
			age = max(age, state.Age)
		}
	}
	slices.Sort(answer.Refused)
	slices.Sort(answer.Waiting)
	var others []string
	if n := len(answer.Waiting); n > 0 && served > 0 {
		others = append(others, fmt.Sprintf("Namespaces whose state has not been read yet: %d.", n))
	}
	if n := len(answer.Refused); n > 0 {
		others = append(others, fmt.Sprintf("Namespaces that Kubernetes does not allow this server to read: %d.", n))
	}
	switch {
	case served == 0, len(answer.Waiting) > 0 && g.now().Sub(g.started) < readyAfter:
		answer.Status = "starting"
		answer.Message = strings.Join(append([]string{"The state of the cluster has not been read yet."}, others...), " ")
		return http.StatusServiceUnavailable, answer
	case age > degradedAfter:
		answer.Status = "degraded"
		others = append([]string{fmt.Sprintf(
			"No contact with Kubernetes for %d seconds: reads are that old, writes fail.", int(math.Ceil(age.Seconds())))}, others...)
	default:
		answer.Status = "ok"
	}
	answer.Message = strings.Join(others, " ")
	return http.StatusOK, answer
}

// Probes answers the kubelet, at /livez and /readyz, on a port that callers do not reach, so that no number of callers can
// delay it. A server is ready only while it accepts connections on the callers' port.
func (g *Guard) Probes(accepting func() error) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		answerProbe(w, http.StatusOK, healthAnswer{Status: "ok"})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		status, answer := g.readiness()
		if err := accepting(); err != nil && status == http.StatusOK {
			g.log.Error("callers cannot connect", "error", err.Error())
			status = http.StatusServiceUnavailable
			answer = healthAnswer{Status: "deaf", Message: "Connections are not accepted: " + err.Error() + "."}
		}
		answerProbe(w, status, answer)
	})
	return mux
}

func answerProbe(w http.ResponseWriter, status int, answer healthAnswer) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	text, err := json.Marshal(answer)
	if err != nil {
		panic(err) // encoding texts cannot fail
	}
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // The prober may have gone.
}
