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

// serveOpenAPI answers with the contract, which is the same for everyone and needs no key.
func serveOpenAPI(routes gin.IRoutes) error {
	openAPIJSON, err := yaml.YAMLToJSON(openAPIYAML)
	if err != nil {
		return fmt.Errorf("turning openapi.yaml into JSON: %w", err)
	}
	routes.GET("/openapi.yaml", func(c *gin.Context) { c.Data(http.StatusOK, "application/yaml", openAPIYAML) })
	routes.GET("/openapi.json", func(c *gin.Context) { c.Data(http.StatusOK, "application/json", openAPIJSON) })
	return nil
}
