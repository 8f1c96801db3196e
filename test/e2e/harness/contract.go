package harness

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"

	"github.com/scrapethis/spider-operator/apiserver/contract/contracttest"
)

// contract is the REST API's own OpenAPI document, as the running system serves it.
type contract struct {
	router routers.Router
}

func readContract(ctx context.Context, apiURL string) (*contract, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, apiURL+"/openapi.json", http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("read the API's contract: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("read the API's contract: %w", err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("read the API's contract: %s: %w", response.Status, err)
	}
	document, err := contracttest.Closed(text)
	if err != nil {
		return nil, fmt.Errorf("understand the API's contract: %w", err)
	}
	document.Servers = nil // whatever address it is reached at
	router, err := legacy.NewRouter(document)
	if err != nil {
		return nil, fmt.Errorf("understand the API's contract: %w", err)
	}
	return &contract{router: router}, nil
}

// check returns how a response differs from the document: an undocumented status, header, field or type.
func (c *contract) check(request *http.Request, response *Response) error {
	plain := request.Clone(request.Context())
	plain.URL = &url.URL{Path: request.URL.Path, RawQuery: request.URL.RawQuery}
	plain.Host = ""
	route, parameters, err := c.router.FindRoute(plain)
	if err != nil {
		return fmt.Errorf("the contract knows no %s %s: %w", request.Method, request.URL.Path, err)
	}
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: plain, PathParams: parameters, Route: route},
		Status:                 response.Status,
		Header:                 response.Header,
		Options:                &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	}
	return openapi3filter.ValidateResponse(request.Context(), input.SetBodyBytes(response.Body))
}
