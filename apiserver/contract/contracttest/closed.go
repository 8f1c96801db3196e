// Package contracttest reads the REST contract for tests, which check answers more strictly than callers may.
package contracttest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
)

// growing is the extension that marks a list of values that may get further values.
const growing = "x-extensible-enum"

// Answers of these kinds are checked as they are.
func init() {
	for _, mediaType := range []string{"text/event-stream", "text/html", "application/yaml"} {
		openapi3filter.RegisterBodyDecoder(mediaType, openapi3filter.PlainBodyDecoder)
	}
}

// Closed reads a contract and closes its answers. As served they are open: they may gain fields, and their lists of values may
// grow, so that generated clients accept a newer server. A test has to find everything that a server sends and the contract
// does not describe.
func Closed(text []byte) (*openapi3.T, error) {
	document, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		return nil, fmt.Errorf("reading the contract: %w", err)
	}
	if err := document.Validate(context.Background()); err != nil {
		return nil, fmt.Errorf("the contract is not valid: %w", err)
	}
	document.Servers = openapi3.Servers{{URL: "/"}} // The checker does not support a server relative to the document.
	requests, answers := schemas{}, schemas{}
	for _, path := range document.Paths.Map() {
		for _, operation := range path.Operations() {
			if body := operation.RequestBody; body != nil {
				requests.addContent(body.Value.Content)
			}
			for _, response := range operation.Responses.Map() {
				answers.addContent(response.Value.Content)
			}
		}
	}
	for _, schema := range document.Components.Schemas { // That of an event is not part of any answer.
		if !requests[schema.Value] {
			answers.add(schema)
		}
	}
	for schema := range answers {
		if requests[schema] {
			continue
		}
		if len(schema.Properties) > 0 && schema.AdditionalProperties.Has == nil && schema.AdditionalProperties.Schema == nil {
			schema.AdditionalProperties.Has = new(false)
		}
		if schema.Enum, err = knownValues(schema); err != nil {
			return nil, err
		}
	}
	return document, nil
}

// documentedValues returns the documented values of a component that may get others, sorted.
func documentedValues(document *openapi3.T, component string) ([]string, error) {
	schema, known := document.Components.Schemas[component]
	if !known {
		return nil, fmt.Errorf("the contract has no schema %s", component)
	}
	values, err := knownValues(schema.Value)
	if err != nil {
		return nil, err
	}
	texts := make([]string, 0, len(values))
	for _, value := range values {
		texts = append(texts, fmt.Sprint(value))
	}
	slices.Sort(texts)
	return texts, nil
}

// CodeStatuses returns the HTTP statuses that the contract's table of error codes has for each code.
func CodeStatuses(document *openapi3.T) (map[string]int, error) {
	schema, known := document.Components.Schemas["ErrorCode"]
	if !known {
		return nil, errors.New("the contract has no schema ErrorCode")
	}
	statuses := map[string]int{}
	for line := range strings.Lines(schema.Value.Description) {
		const columns = 5 // the first and the last are outside
		cells := strings.Split(line, "|")
		if len(cells) != columns || !strings.Contains(cells[2], "`") {
			continue
		}
		status, err := strconv.Atoi(strings.TrimSpace(cells[1]))
		if err != nil {
			return nil, fmt.Errorf("reading the table of error codes: %w", err)
		}
		statuses[strings.Trim(cells[2], " `")] = status
	}
	return statuses, nil
}

// knownValues returns the values that a schema allows today: those of a growing list, or of one that stays.
func knownValues(schema *openapi3.Schema) ([]any, error) {
	list, grows := schema.Extensions[growing]
	if !grows {
		return schema.Enum, nil
	}
	values, ok := list.([]any)
	if !ok || len(values) == 0 {
		return nil, fmt.Errorf("%s is no list of values: %v", growing, list)
	}
	return values, nil
}

// schemas adds schemas and everything that they refer to.
type schemas map[*openapi3.Schema]bool

func (s schemas) addContent(content openapi3.Content) {
	for media := range maps.Values(content) {
		s.add(media.Schema)
	}
}

func (s schemas) add(ref *openapi3.SchemaRef) {
	if ref == nil || ref.Value == nil || s[ref.Value] {
		return
	}
	schema := ref.Value
	s[schema] = true
	s.add(schema.Items)
	s.add(schema.AdditionalProperties.Schema)
	for property := range maps.Values(schema.Properties) {
		s.add(property)
	}
	for _, parts := range []openapi3.SchemaRefs{schema.AllOf, schema.AnyOf, schema.OneOf} {
		for _, part := range parts {
			s.add(part)
		}
	}
}
