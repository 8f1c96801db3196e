package contracttest

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// contractFile is the document that the server serves.
const contractFile = "../../openapi.yaml"

func text(t *testing.T) []byte {
	t.Helper()
	text, err := os.ReadFile(contractFile)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// served is the contract as callers get it, and closed as tests hold answers to it.
func served(t *testing.T) *openapi3.T {
	t.Helper()
	document, err := openapi3.NewLoader().LoadFromData(text(t))
	if err != nil {
		t.Fatal(err)
	}
	return document
}

func closed(t *testing.T) *openapi3.T {
	t.Helper()
	document, err := Closed(text(t))
	if err != nil {
		t.Fatal(err)
	}
	return document
}

// eachOperation calls visit for each operation, with its id.
func eachOperation(document *openapi3.T, visit func(id string, operation *openapi3.Operation)) {
	for _, path := range document.Paths.Map() {
		for _, operation := range path.Operations() {
			visit(operation.OperationID, operation)
		}
	}
}

// eachAnswer calls visit for each body that an operation answers with.
func eachAnswer(document *openapi3.T, visit func(name, mediaType string, content *openapi3.MediaType)) {
	eachOperation(document, func(id string, operation *openapi3.Operation) {
		for status, response := range operation.Responses.Map() {
			for mediaType, content := range response.Value.Content {
				visit(id+" "+status, mediaType, content)
			}
		}
	})
}

// A generated client that checks what it is answered has to bear fields and values that came later.
func TestAnswersAreOpen(t *testing.T) {
	answers := schemas{}
	eachAnswer(served(t), func(_, _ string, content *openapi3.MediaType) { answers.add(content.Schema) })
	status := served(t).Components.Schemas["JobStatus"].Value.Enum
	if len(status) != 5 {
		t.Errorf("a job's status is one of %v: five for good", status)
	}
	if len(answers) < 20 {
		t.Fatalf("%d schemas of answers were found", len(answers))
	}
	for schema := range answers {
		if has := schema.AdditionalProperties.Has; has != nil {
			t.Errorf("%s: additional properties are said to be allowed or not (%t): leave that out", name(schema), *has)
		}
		if len(schema.Enum) > 0 && !slices.Equal(schema.Enum, status) {
			t.Errorf("%s: is one of %v for good: use %s", name(schema), schema.Enum, growing)
		}
	}
}

// A body is held to the contract: what is misspelt is refused.
func TestBodiesAreStrict(t *testing.T) {
	bodies := schemas{}
	eachOperation(served(t), func(_ string, operation *openapi3.Operation) {
		if operation.RequestBody != nil {
			bodies.addContent(operation.RequestBody.Value.Content)
		}
	})
	objects := 0
	for schema := range bodies {
		if len(schema.Properties) == 0 {
			continue
		}
		objects++
		if has := schema.AdditionalProperties.Has; has == nil || *has {
			t.Errorf("%s: allows fields that nobody knows", name(schema))
		}
		if _, grows := schema.Extensions[growing]; grows {
			t.Errorf("%s: a list of values of a body does not grow unnoticed", name(schema))
		}
	}
	if objects < 3 {
		t.Fatalf("%d objects of bodies were found", objects)
	}
}

// name says which schema it is about.
func name(schema *openapi3.Schema) string {
	title, _, _ := strings.Cut(schema.Description, "\n")
	return title + " {" + strings.Join(slices.Sorted(maps.Keys(schema.Properties)), ", ") + "}"
}

// Version 3.0 knows nullable beside a type only, and null among the values where these are listed.
func TestNullableIsWhatOpenAPI30Means(t *testing.T) {
	all, nullable := schemas{}, 0
	for _, schema := range served(t).Components.Schemas {
		all.add(schema)
	}
	for schema := range all {
		if !schema.Nullable {
			continue
		}
		nullable++
		if schema.Type == nil {
			t.Errorf("%s: nullable without a type says nothing", name(schema))
		}
		if len(schema.Enum) > 0 && !slices.Contains(schema.Enum, nil) {
			t.Errorf("%s: nullable, but null is none of the values %v", name(schema), schema.Enum)
		}
	}
	if nullable < 10 {
		t.Errorf("%d schemas are nullable: nothing was looked at", nullable)
	}
}

// Each answer is shown by an example that it could be, by all that is known of it today.
func TestEveryAnswerHasAnExample(t *testing.T) {
	document := closed(t)
	eachAnswer(document, func(of, mediaType string, content *openapi3.MediaType) {
		if len(content.Examples) == 0 {
			t.Errorf("%s %s: has no examples", of, mediaType)
		}
		for example, ref := range content.Examples {
			value := ref.Value.Value
			if err := content.Schema.Value.VisitJSON(asJSON(t, value), openapi3.MultiErrors()); err != nil {
				t.Errorf("%s %s: the example %s is not what it says: %v", of, mediaType, example, err)
			}
			if fields, is := value.(map[string]any); is && fields["code"] != nil && fields["code"] != example {
				t.Errorf("%s: the example %s is one of the code %v", of, example, fields["code"])
			}
		}
	})
	for example := range document.Components.Examples {
		used := false
		eachAnswer(document, func(_, _ string, content *openapi3.MediaType) {
			for _, ref := range content.Examples {
				used = used || strings.HasSuffix(ref.Ref, "/"+example)
			}
		})
		if !used {
			t.Errorf("the example %s is none of any answer", example)
		}
	}
}

// asJSON is a value of YAML as JSON has it.
func asJSON(t *testing.T, value any) any {
	t.Helper()
	encoded, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	var decoded any
	if err := json.Unmarshal(encoded, &decoded); err != nil {
		t.Fatal(err)
	}
	return decoded
}

// Each code is explained, with the status that it comes with, and shown by an example of an answer of that status.
func TestErrorCodesAreExplained(t *testing.T) {
	document := served(t)
	codes, err := documentedValues(document, "ErrorCode")
	if err != nil {
		t.Fatal(err)
	}
	explained, err := CodeStatuses(document)
	if err != nil {
		t.Fatal(err)
	}
	if known := slices.Sorted(maps.Keys(explained)); !slices.Equal(known, codes) {
		t.Errorf("the table explains %q\nthe list has      %q", known, codes)
	}
	shown := map[string]bool{"method_not_allowed": true} // No operation is answered with it.
	eachAnswer(document, func(of, _ string, content *openapi3.MediaType) {
		for example, ref := range content.Examples {
			fields, _ := ref.Value.Value.(map[string]any)
			if code, is := fields["code"].(string); is {
				if shown[code] = true; !strings.HasSuffix(of, " "+strconv.Itoa(explained[code])) {
					t.Errorf("%s: the example %s has a code of status %d", of, example, explained[code])
				}
			}
		}
	})
	for _, code := range codes {
		if !shown[code] {
			t.Errorf("no answer is shown with the code %s", code)
		}
	}
}

// The list of reasons for programs is that of the table for people, which the controller's tests hold to the reasons that there
// are.
func TestReasonsAreListed(t *testing.T) {
	reason := served(t).Components.Schemas["Job"].Value.Properties["reason"].Value
	explained := map[string]bool{}
	for line := range strings.Lines(reason.Description) {
		if cells := strings.Split(line, "|"); len(cells) == 5 {
			for _, name := range regexp.MustCompile("`([A-Z]\\w+)`").FindAllStringSubmatch(cells[2], -1) {
				explained[name[1]] = true
			}
		}
	}
	listed := listedIn(t, reason)
	if told := slices.Sorted(maps.Keys(explained)); !slices.Equal(listed, told) {
		t.Errorf("listed are %q\nexplained %q", listed, told)
	}
}

// Broken rules are those that a start can give: all of its expectations but what follows.
func TestRulesAreListed(t *testing.T) {
	schemas := served(t).Components.Schemas
	rules := slices.DeleteFunc(slices.Sorted(maps.Keys(schemas["Expectations"].Value.Properties)), func(name string) bool {
		return strings.HasPrefix(name, "on_")
	})
	if listed := listedIn(t, schemas["Violation"].Value.Properties["rule"].Value); !slices.Equal(listed, rules) {
		t.Errorf("listed are %q\nthere are  %q", listed, rules)
	}
}

// listedIn are the known values of a text, sorted.
func listedIn(t *testing.T, schema *openapi3.Schema) []string {
	t.Helper()
	values, err := knownValues(schema)
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, value := range values {
		listed = append(listed, fmt.Sprint(value))
	}
	slices.Sort(listed)
	return listed
}

// Whoever generates a client is told which answers are read as they come.
func TestStreamsAreMarked(t *testing.T) {
	var streams []string
	eachAnswer(served(t), func(of, mediaType string, content *openapi3.MediaType) {
		if content.Extensions["x-streaming"] == true {
			if streams = append(streams, of); content.Schema.Value.Format != "binary" {
				t.Errorf("%s: is not binary, so that a generated client reads it to its end first", of)
			}
		} else if mediaType == "text/event-stream" {
			t.Errorf("%s: is not marked as a stream", of)
		}
	})
	slices.Sort(streams)
	if want := []string{"getJobLogs 200", "getJobLogs 200", "streamJobEvents 200"}; !slices.Equal(streams, want) {
		t.Errorf("marked are %q, want %q", streams, want)
	}
}

// What tests hold answers to allows nothing that the contract does not tell of, however deep.
func TestClosedFindsWhatIsNotDocumented(t *testing.T) {
	document := closed(t)
	valid := asJSON(t, document.Components.Examples["FinishedJob"].Value.Value)
	job := document.Components.Schemas["Job"].Value
	if err := job.VisitJSON(valid); err != nil {
		t.Fatalf("the example is not valid: %v", err)
	}
	for what, change := range map[string]func(map[string]any){
		"a field":           func(job map[string]any) { job["new"] = 1 },
		"a field of a part": func(job map[string]any) { job["stats"].(map[string]any)["new"] = 1 },
		"a value":           func(job map[string]any) { job["stats"].(map[string]any)["source"] = "new" },
		"a status":          func(job map[string]any) { job["status"] = "new" },
	} {
		changed, _ := asJSON(t, valid).(map[string]any)
		change(changed)
		if job.VisitJSON(changed) == nil {
			t.Errorf("%s that is not documented passes", what)
		}
		if what != "a status" && served(t).Components.Schemas["Job"].Value.VisitJSON(changed) != nil {
			t.Errorf("%s that is not documented does not pass the contract as it is served", what)
		}
	}
}
