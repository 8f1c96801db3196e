package rest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/scrapethis/spider-operator/apiserver/failure"
)

// queryRules are the query parameters that the contract has for each call, by method and route.
type queryRules map[string]queryRule

// queryRule says of each parameter of a call whether it may be repeated.
type queryRule map[string]bool

// isList reports whether a call answers with a page. Browsers that submit forms leave its filters empty.
func (r queryRule) isList() bool {
	_, paged := r["limit"]
	return paged
}

// readQueryRules reads them from the contract, as JSON.
func readQueryRules(contract []byte) (queryRules, error) {
	type parameter struct {
		Ref    string `json:"$ref"`
		Name   string
		In     string
		Schema struct{ Type string }
	}
	type operation struct{ Parameters []parameter }
	var document struct {
		Paths      map[string]struct{ Get, Post, Put, Patch, Delete *operation }
		Components struct{ Parameters map[string]parameter }
	}
	if err := json.Unmarshal(contract, &document); err != nil {
		return nil, fmt.Errorf("reading the parameters of the contract: %w", err)
	}
	rules := queryRules{}
	for path, calls := range document.Paths {
		route := strings.NewReplacer("{", ":", "}", "").Replace(path)
		for method, call := range map[string]*operation{
			http.MethodGet: calls.Get, http.MethodPost: calls.Post, http.MethodPut: calls.Put,
			http.MethodPatch: calls.Patch, http.MethodDelete: calls.Delete,
		} {
			if call == nil {
				continue
			}
			rule := queryRule{}
			for _, p := range call.Parameters {
				if name, is := strings.CutPrefix(p.Ref, "#/components/parameters/"); is {
					p = document.Components.Parameters[name]
				}
				if p.In == "query" {
					rule[p.Name] = p.Schema.Type == "array"
				}
			}
			rules[method+" "+route] = rule
		}
	}
	return rules, nil
}

// read returns the relevant parameters of a query: without names that begin with "_", which callers add to bypass caches, and
// without a list's empty filters. A parameter that the call does not know is refused: an ignored filter would otherwise answer
// with everything.
func (r queryRule) read(text string) (parameters, error) {
	if text == "" {
		return nil, nil
	}
	given, err := url.ParseQuery(text)
	if err != nil {
		return nil, &failure.Error{
			Kind: failure.KindInvalid, Code: "invalid_request", Message: "The query cannot be read: " + err.Error() + ".", Cause: err,
		}
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if strings.HasPrefix(name, "_") {
			delete(given, name)
			continue
		}
		values, err := r.readParameter(name, given[name])
		if err != nil {
			return nil, err
		}
		given[name] = values
	}
	return parameters(given), nil
}

func (r queryRule) readParameter(name string, values []string) ([]string, error) {
	field := failure.Name(name)
	repeated, known := r[name]
	if !known {
		return nil, failure.Invalid(field, "there is no such parameter")
	}
	if !utf8.ValidString(strings.Join(values, "")) {
		return nil, failure.Invalid(field, "is not valid UTF-8")
	}
	if r.isList() {
		values = slices.DeleteFunc(values, func(value string) bool { return value == "" })
	}
	if len(values) > 1 && !repeated {
		return nil, failure.Invalid(field, "is given more than once")
	}
	return values, nil
}
