package rest

import (
	"net/http"

	"github.com/gin-gonic/gin"
)

// withHead answers HEAD wherever it answers GET: with the same status and headers. net/http withholds the body.
type withHead struct {
	gin.IRouter
}

// GET implements gin.IRoutes.
func (r withHead) GET(path string, handlers ...gin.HandlerFunc) gin.IRoutes {
	if path == eventsPath {
		// A stream without an end has nothing to answer to HEAD; without its own route the path would be that of a job.
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
