package guard

import (
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

// Readyz tells whether requests should come here. A server that has lost Kubernetes stays ready: all replicas have lost it
// then, and reads go on.
func (g *Guard) Readyz(c *gin.Context) {
	if g.leaving.Load() {
		c.JSON(http.StatusServiceUnavailable, healthAnswer{Status: "stopping"})
		return
	}
	if !g.health.Synced() {
		c.JSON(http.StatusServiceUnavailable, healthAnswer{
			Status: "starting", Message: "The state of the cluster has not been read yet.",
		})
		return
	}
	if age := g.health.Age(); age > degradedAfter {
		c.JSON(http.StatusOK, healthAnswer{
			Status:  "degraded",
			Message: fmt.Sprintf("Kubernetes has not been heard of for %d seconds: reads are that old, writes fail.", int(math.Ceil(age.Seconds()))),
		})
		return
	}
	c.JSON(http.StatusOK, healthAnswer{Status: "ok"})
}
