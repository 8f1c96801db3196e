package guard

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
)

// degradedAfter is for how long Kubernetes may be silent before the server calls itself degraded. Watches are renewed now and
// then, which takes a moment.
const degradedAfter = 2 * time.Second

// healthAnswer is the answer of the probes.
type healthAnswer struct {
	Status  string `json:"status"`
	Message string `json:"message,omitempty"`
}

// Livez tells that the server runs.
func (g *Guard) Livez(c *gin.Context) { c.JSON(http.StatusOK, healthAnswer{Status: "ok"}) }

// Readyz tells whether requests should come here.
func (g *Guard) Readyz(c *gin.Context) { c.JSON(g.readiness()) }

// readiness is the answer to whether requests should come here. A server that has lost Kubernetes stays ready: all replicas have lost
// it then, and reads go on.
func (g *Guard) readiness() (status int, answer healthAnswer) {
	if g.leaving.Load() {
		return http.StatusServiceUnavailable, healthAnswer{Status: "stopping"}
	}
	if !g.health.Synced() {
		return http.StatusServiceUnavailable, healthAnswer{Status: "starting", Message: "The state of the cluster has not been read yet."}
	}
	if age := g.health.Age(); age > degradedAfter {
		return http.StatusOK, healthAnswer{
			Status:  "degraded",
			Message: fmt.Sprintf("Kubernetes has not been heard of for %d seconds: reads are that old, writes fail.", int(math.Ceil(age.Seconds()))),
		}
	}
	return http.StatusOK, healthAnswer{Status: "ok"}
}

// Probes answers the kubelet, at /livez and /readyz, on a port that callers do not reach, so that no number of them keeps it waiting.
// Ready is a server only while it accepts connections to what callers reach.
func (g *Guard) Probes(accepting func() error) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		answerProbe(w, http.StatusOK, healthAnswer{Status: "ok"})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		status, answer := g.readiness()
		if err := accepting(); err != nil && status == http.StatusOK {
			g.log.Error("callers cannot connect", "error", err.Error())
			status, answer = http.StatusServiceUnavailable, healthAnswer{Status: "deaf", Message: "Connections are not accepted: " + err.Error() + "."}
		}
		answerProbe(w, status, answer)
	})
	return mux
}

func answerProbe(w http.ResponseWriter, status int, answer healthAnswer) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	// A prober that has gone does not read its answer.
	_ = json.NewEncoder(w).Encode(answer)
}
