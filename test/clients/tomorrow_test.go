package clients

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

// growing are the names of the fields that may get further values.
var growing = map[string]bool{"source": true, "reason": true, "rule": true, "code": true}

// tomorrow serves what an address serves, changed as a newer server may answer: each object has a further field, and each text
// of a growing list a value that no client knows yet.
func tomorrow(t *testing.T, address string) string {
	t.Helper()
	target, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ModifyResponse = func(response *http.Response) error {
		if !strings.HasPrefix(response.Header.Get("Content-Type"), "application/json") {
			return nil
		}
		text, err := io.ReadAll(response.Body)
		if err != nil {
			return err
		}
		if text, err = grow(text); err != nil {
			return err
		}
		response.Header.Set("X-New", "a header more")
		response.Header.Set("Content-Length", strconv.Itoa(len(text)))
		response.ContentLength = int64(len(text))
		response.Body = io.NopCloser(bytes.NewReader(text))
		return nil
	}
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	return server.URL
}

// grow returns a JSON text as a newer server may answer it.
func grow(text []byte) ([]byte, error) {
	var value any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		return nil, err
	}
	return json.Marshal(grown(value))
}

func grown(value any) any {
	switch value := value.(type) {
	case []any:
		for i := range value {
			value[i] = grown(value[i])
		}
	case map[string]any:
		for name, member := range value {
			if _, is := member.(string); is && growing[name] {
				value[name] = "new_value"
			} else if name != "arguments" && name != "settings" { // These contain what the caller sent.
				value[name] = grown(member)
			}
		}
		value["new_field"] = map[string]any{"new": []any{1, "two", nil}}
	}
	return value
}

func TestGrow(t *testing.T) {
	text, err := grow([]byte(`[{"status": "finished", "stats": {"source": "none", "final": true}, "arguments": {"code": "a"}, ` +
		`"n": 12345678901234567890}]`))
	const want = `[{"arguments":{"code":"a"},"n":12345678901234567890,"new_field":{"new":[1,"two",null]},` +
		`"stats":{"final":true,"new_field":{"new":[1,"two",null]},"source":"new_value"},"status":"finished"}]`
	if err != nil || string(text) != want {
		t.Errorf("%s, %v\nwant %s", text, err, want)
	}
}
