package rest

import (
	"github.com/scrapethis/spider-operator/apiserver/auth"
)

// Accesses tell what right each call needs, by method and route. Calls with no verbs need none: they tell a caller about itself.
// A call that is not listed is refused to service accounts.
var Accesses = map[string]auth.Access{
	"GET /api/v1/jobs":           {Resource: "spiderjobs", Verbs: []string{"list"}},
	"POST /api/v1/jobs":          {Resource: "spiderjobs", Verbs: []string{"create"}},
	"GET /api/v1/jobs/:id":       {Resource: "spiderjobs", Verbs: []string{"get"}},
	"DELETE /api/v1/jobs/:id":    {Resource: "spiderjobs", Verbs: []string{"patch", "update"}}, // It records a cancellation.
	"GET /api/v1/jobs/:id/logs":  {Resource: "spiderjobs", Verbs: []string{"get"}},
	"GET /api/v1/jobs/events":    {Resource: "spiderjobs", Verbs: []string{"watch"}},
	"GET /api/v1/spiders":        {Resource: "spiders", Verbs: []string{"list"}},
	"POST /api/v1/spiders":       {Resource: "spiders", Verbs: []string{"create"}},
	"GET /api/v1/spiders/:id":    {Resource: "spiders", Verbs: []string{"get"}},
	"PATCH /api/v1/spiders/:id":  {Resource: "spiders", Verbs: []string{"patch", "update"}},
	"DELETE /api/v1/spiders/:id": {Resource: "spiders", Verbs: []string{"delete"}},
	"GET /api/v1/me":             {},
}
