package apiserver

import (
	_ "embed"
	"fmt"
	"net/http"

	"github.com/gin-gonic/gin"
	"sigs.k8s.io/yaml"
)

//go:embed openapi.yaml
var openAPIYAML []byte

// openAPIJSON is the contract as JSON.
func openAPIJSON() ([]byte, error) {
	text, err := yaml.YAMLToJSON(openAPIYAML)
	if err != nil {
		return nil, fmt.Errorf("turning openapi.yaml into JSON: %w", err)
	}
	return text, nil
}

// serveOpenAPI answers with the contract, which is the same for everyone and needs no key.
func serveOpenAPI(routes gin.IRoutes, asJSON []byte) {
	routes.GET("/openapi.yaml", func(c *gin.Context) { c.Data(http.StatusOK, "application/yaml", openAPIYAML) })
	routes.GET("/openapi.json", func(c *gin.Context) { c.Data(http.StatusOK, "application/json", asJSON) })
}
