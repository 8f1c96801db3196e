package rest

import (
	"github.com/gin-gonic/gin"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/auth"
	"github.com/scrapethis/spider-operator/apiserver/exchange"
	"github.com/scrapethis/spider-operator/apiserver/failure"
)

// Accesses is what each call needs, by method and route: the access of an API key, and the right of a service account. A call
// that needs neither only tells a caller about itself. A call that is not listed is refused to everybody.
var Accesses = map[string]auth.Access{
	"GET /api/v1/jobs":       {Key: v1alpha1.AccessRead, Resource: "spiderjobs", Verbs: []string{"list"}},
	"POST /api/v1/jobs":      {Key: v1alpha1.AccessRun, Resource: "spiderjobs", Verbs: []string{"create"}},
	"GET /api/v1/jobs/:id":   {Key: v1alpha1.AccessRead, Resource: "spiderjobs", Verbs: []string{"get"}},
	"PATCH /api/v1/jobs/:id": {Key: v1alpha1.AccessRun, Resource: "spiderjobs", Verbs: []string{"patch", "update"}},
	// It records a cancellation.
	"DELETE /api/v1/jobs/:id":             {Key: v1alpha1.AccessRun, Resource: "spiderjobs", Verbs: []string{"patch", "update"}},
	"POST /api/v1/jobs/:id/rerun":         {Key: v1alpha1.AccessRun, Resource: "spiderjobs", Verbs: []string{"create"}},
	"GET /api/v1/jobs/:id/logs":           {Key: v1alpha1.AccessRead, Resource: "spiderjobs", Verbs: []string{"get"}},
	"GET /api/v1/jobs/events":             {Key: v1alpha1.AccessRead, Resource: "spiderjobs", Verbs: []string{"watch"}},
	"GET /api/v1/jobs/summary":            {Key: v1alpha1.AccessRead, Resource: "spiderjobs", Verbs: []string{"list"}},
	"GET /api/v1/spiders":                 {Key: v1alpha1.AccessRead, Resource: "spiders", Verbs: []string{"list"}},
	"POST /api/v1/spiders":                {Key: v1alpha1.AccessAll, Resource: "spiders", Verbs: []string{"create"}},
	"GET /api/v1/spiders/:id":             {Key: v1alpha1.AccessRead, Resource: "spiders", Verbs: []string{"get"}},
	"PATCH /api/v1/spiders/:id":           {Key: v1alpha1.AccessAll, Resource: "spiders", Verbs: []string{"patch", "update"}},
	"DELETE /api/v1/spiders/:id":          {Key: v1alpha1.AccessAll, Resource: "spiders", Verbs: []string{"delete"}},
	"GET /api/v1/schedules":               {Key: v1alpha1.AccessRead, Resource: "spiderschedules", Verbs: []string{"list"}},
	"POST /api/v1/schedules":              {Key: v1alpha1.AccessAll, Resource: "spiderschedules", Verbs: []string{"create"}},
	"GET /api/v1/schedules/:id":           {Key: v1alpha1.AccessRead, Resource: "spiderschedules", Verbs: []string{"get"}},
	"GET /api/v1/schedules/preview":       {Key: v1alpha1.AccessRead, Resource: "spiderschedules", Verbs: []string{"list"}},
	"POST /api/v1/schedules/:id/run":      {Key: v1alpha1.AccessRun, Resource: "spiderjobs", Verbs: []string{"create"}},
	"POST /api/v1/schedules/:id/backfill": {Key: v1alpha1.AccessAll, Resource: "spiderjobs", Verbs: []string{"create"}},
	"PATCH /api/v1/schedules/:id": {
		Key: v1alpha1.AccessAll, Resource: "spiderschedules", Verbs: []string{"patch", "update"},
	},
	"DELETE /api/v1/schedules/:id": {Key: v1alpha1.AccessAll, Resource: "spiderschedules", Verbs: []string{"delete"}},
	"GET /api/v1/queue":            {Key: v1alpha1.AccessRead, Resource: "spiderjobs", Verbs: []string{"list"}},
	"GET /api/v1/me":               {},
}

// closeSpiders refuses every change of Spiders, to all callers.
func closeSpiders(c *gin.Context) {
	if needed := Accesses[exchange.Of(c).Route]; needed.Resource == "spiders" && needed.Key != v1alpha1.AccessRead {
		Abort(
			c,
			failure.Denied(nil, "spiders_read_only", "Spiders are read-only in this API: its administrators have disabled changes."),
		)
		return
	}
	c.Next()
}
