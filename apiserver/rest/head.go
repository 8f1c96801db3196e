package rest

import (
	"net/http"

	"github.com/gin-gonic/gin"
)

// withHead answers HEAD wherever GET is: with the same status and headers. net/http keeps the body back.
type withHead struct {
	gin.IRouter
}

// GET implements gin.IRoutes.
func (r withHead) GET(path string, handlers ...gin.HandlerFunc) gin.IRoutes {
	if path == eventsPath {
		// There is nothing to be told of what has no end; without a route of its own the path would be that of a job.
		r.HEAD(path, func(c *gin.Context) {
			c.Header("Allow", http.MethodGet)
			Abort(c, methodNotAllowed(c))
		})
	} else {
		r.HEAD(path, handlers...)
	}
	return r.IRouter.GET(path, handlers...)
}

// eventsPath is the address of the events.
const eventsPath = "/api/v1/jobs/events"
