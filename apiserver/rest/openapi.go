package rest

import (
	"net/http"

	"github.com/gin-gonic/gin"
)

// serveContract answers with the contract, which is the same for everyone and needs no key.
func serveContract(routes gin.IRoutes, asYAML, asJSON []byte) {
	routes.GET("/openapi.yaml", func(c *gin.Context) { c.Data(http.StatusOK, "application/yaml", asYAML) })
	routes.GET("/openapi.json", func(c *gin.Context) { c.Data(http.StatusOK, "application/json", asJSON) })
}
