// Package fetch reads what HTTP servers answer.
package fetch

import (
	"context"
	"fmt"
	"io"
	"net/http"
)

// Get returns what is at a URL.
func Get(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("GET %s: %w", url, err)
	}
	return Do(client, request)
}

// Do makes a request that has to be answered with 200, and returns the answer's body.
func Do(client *http.Client, request *http.Request) ([]byte, error) {
	response, err := client.Do(request) //nolint:gosec // The caller chooses the URL.
	if err != nil {
		return nil, err // it names the method and the URL
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: read the answer: %w", request.Method, request.URL, err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s %s: %s: %.500s", request.Method, request.URL, response.Status, body)
	}
	return body, nil
}
