package apiserver

import (
	"fmt"
	"net/http"

	"github.com/gin-gonic/gin"
)

// healthAnswer is the answer of the probes.
type healthAnswer struct {
	Status  string `json:"status"`
	Message string `json:"message,omitempty"`
}

func (s *Server) livez(c *gin.Context) { c.JSON(http.StatusOK, healthAnswer{Status: "ok"}) }

// readyz tells whether requests should come here. A server that has lost Kubernetes stays ready: all replicas have lost it
// then, and reads go on.
func (s *Server) readyz(c *gin.Context) {
	if s.leaving.Load() {
		c.JSON(http.StatusServiceUnavailable, healthAnswer{Status: "stopping"})
		return
	}
	if !s.health.Synced() {
		c.JSON(http.StatusServiceUnavailable, healthAnswer{
			Status: "starting", Message: "The state of the cluster has not been read yet.",
		})
		return
	}
	if age := s.health.Age(); age > degradedAfter {
		c.JSON(http.StatusOK, healthAnswer{
			Status:  "degraded",
			Message: fmt.Sprintf("Kubernetes has not been heard of for %d seconds: reads are that old, writes fail.", wholeSeconds(age)),
		})
		return
	}
	c.JSON(http.StatusOK, healthAnswer{Status: "ok"})
}
