// Package check tries a REST API as a caller would: whether it works, is ready, accepts a key and runs a spider.
package check

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/scrapethis/spider-operator/apiserver/contract"
)

const (
	// maxAnswer is the most bytes of an answer that are read.
	maxAnswer = 1 << 20
	// callTime is how long a call may take, where it does not wait on purpose, and wait how long one waits.
	callTime = 30 * time.Second
	wait     = 60 * time.Second
)

// Options say what is tried.
type Options struct {
	// URL is where the API is served, as in https://spiders.example.org.
	URL string
	// Certificate, PEM, is the one that the server has to show, whatever names it is for. Where it is empty the server's has to
	// be valid for the URL, by the machine's authorities.
	Certificate []byte
	// Key is the API key. Without one, only the probes are asked.
	Key string
	// Spider is the name of a spider to run to its end. None is run where it is empty.
	Spider string
}

// Run tries the API until the end of ctx, and says on out, line by line, what works. Its error says what does not.
func Run(ctx context.Context, options Options, out io.Writer) error {
	c, err := newCaller(options)
	if err != nil {
		return err
	}
	var health struct{ Status, Message string }
	for _, probe := range []string{"/livez", "/readyz"} {
		if err := c.call(ctx, http.MethodGet, probe, nil, &health); err != nil {
			return err
		}
		if health.Status != "ok" {
			return fmt.Errorf("%s: the API calls itself %s: %s", probe, health.Status, health.Message)
		}
		say(out, "%s: ok", probe)
	}
	switch {
	case options.Key == "" && options.Spider != "":
		return errors.New("running a spider needs an API key")
	case options.Key == "":
		say(out, "No API key was given: nothing else was tried.")
		return nil
	}
	var me contract.Caller
	if err := c.call(ctx, http.MethodGet, "/api/v1/me", nil, &me); err != nil {
		return err
	}
	say(out, "The API key acts as user %s of namespace %s.", me.UserID, me.Namespace)
	if options.Spider == "" {
		say(out, "No spider was named: none was run.")
		return nil
	}
	return c.runSpider(ctx, options.Spider, out)
}

// caller calls the API.
type caller struct {
	url, key string
	client   http.Client
}

// runSpider starts a job and waits for its end.
func (c *caller) runSpider(ctx context.Context, spider string, out io.Writer) error {
	var started contract.StartedJob
	if err := c.call(ctx, http.MethodPost, "/api/v1/jobs", map[string]string{"spider_name": spider}, &started); err != nil {
		return err
	}
	say(out, "Job %s of spider %s was started.", started.JobID, spider)
	for {
		var job contract.Job
		err := c.call(ctx, http.MethodGet, fmt.Sprintf("/api/v1/jobs/%s?wait=%ds", url.PathEscape(started.JobID), int(wait.Seconds())), nil, &job)
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("job %s has not ended in time, and goes on: %w", started.JobID, ctx.Err())
		case err != nil:
			return err
		case job.FinishedAt == nil:
			say(out, "It is %s%s", job.Status, because(&job))
			select { // a server that stops does not wait
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
		case job.Status != contract.JobStatusFinished:
			return fmt.Errorf("job %s ended as %s%s", job.ID, job.Status, because(&job))
		default:
			say(out, "It finished, with %d items%s", job.ItemsScraped, because(&job))
			return nil
		}
	}
}

// because is the reason for a job's status, in a form that ends a sentence.
func because(job *contract.Job) string {
	var reason, message string
	if job.Reason != nil {
		reason = " (" + *job.Reason + ")"
	}
	if job.Message != nil && *job.Message != "" {
		message = ": " + *job.Message
	}
	return reason + message
}

func say(out io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(out, format+"\n", args...)
}

func newCaller(options Options) (*caller, error) {
	parsed, err := url.Parse(options.URL)
	if err != nil {
		return nil, fmt.Errorf("reading the URL: %w", err)
	}
	if (parsed.Scheme != "http" && parsed.Scheme != "https") || parsed.Host == "" {
		return nil, fmt.Errorf("%q is no URL of an API: http://… or https://… is wanted", options.URL)
	}
	c := &caller{url: strings.TrimSuffix(options.URL, "/"), key: options.Key}
	if len(options.Certificate) == 0 {
		return c, nil
	}
	block, _ := pem.Decode(options.Certificate)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("there is no PEM certificate in the certificate's file")
	}
	c.client.Transport = &http.Transport{TLSClientConfig: &tls.Config{
		MinVersion: tls.VersionTLS12,
		// Who holds the key of this very certificate is the server that is meant. Its names are for others to check.
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection is stricter.
		VerifyConnection: func(state tls.ConnectionState) error {
			if !bytes.Equal(state.PeerCertificates[0].Raw, block.Bytes) {
				return errors.New("the server shows another certificate than the one it should")
			}
			return nil
		},
	}}
	return c, nil
}

// call makes one call, and reads its answer, which has to be 200.
func (c *caller) call(ctx context.Context, method, path string, body, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, callTime+wait)
	defer cancel()
	what := method + " " + path
	var content io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		content = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.url+path, content)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	request.Header.Set("Content-Type", "application/json")
	if c.key != "" {
		request.Header.Set("Authorization", "Bearer "+c.key)
	}
	response, err := c.client.Do(request)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("%s: reading the answer: %w", what, err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", what, response.Status, bytes.TrimSpace(text))
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("%s: reading the answer %.200q: %w", what, text, err)
	}
	return nil
}
