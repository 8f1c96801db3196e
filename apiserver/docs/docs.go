// Package docs is a page to read and try the REST API: Swagger UI with the contract that the server serves. Everything is in
// the binary; the page loads nothing from other hosts.
package docs

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
)

//go:embed index.html page.js swagger-ui/swagger-ui-bundle.js swagger-ui/swagger-ui.css
var files embed.FS

// policy lets the page load from, and connect to, only the server it came from. Swagger UI has its icons in its style sheet.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// pages are the addresses, the files behind them, and what these are.
var pages = []struct{ address, file, contentType string }{
	{"/docs", "index.html", "text/html; charset=utf-8"},
	{"/docs/page.js", "page.js", "text/javascript; charset=utf-8"},
	{"/docs/swagger-ui-bundle.js", "swagger-ui/swagger-ui-bundle.js", "text/javascript; charset=utf-8"},
	{"/docs/swagger-ui.css", "swagger-ui/swagger-ui.css", "text/css; charset=utf-8"},
}

// Serve adds the page and its files to the routes. They are the same for everyone and need no key.
func Serve(routes gin.IRoutes) error {
	for _, page := range pages {
		content, err := files.ReadFile(page.file)
		if err != nil {
			return fmt.Errorf("reading the documentation's page: %w", err)
		}
		sum := sha256.Sum256(content)
		tag := `"` + hex.EncodeToString(sum[:8]) + `"`
		name := page.file[strings.LastIndex(page.file, "/")+1:]
		routes.GET(page.address, func(c *gin.Context) {
			c.Header("Content-Type", page.contentType)
			c.Header("Content-Security-Policy", policy)
			c.Header("Referrer-Policy", "no-referrer")
			c.Header("Cache-Control", "no-cache")
			c.Header("ETag", tag)
			http.ServeContent(c.Writer, c.Request, name, time.Time{}, bytes.NewReader(content))
		})
	}
	routes.GET("/docs/", func(c *gin.Context) {
		// Relative, since a proxy may have stripped a prefix from the address.
		c.Header("Location", "../docs")
		c.Status(http.StatusMovedPermanently)
	})
	return nil
}
