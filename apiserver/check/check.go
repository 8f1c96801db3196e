// Package check tests a REST API as a caller would: whether it works, is ready, accepts a key and runs a spider.
package check

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/scrapethis/spider-operator/client"
)

const (
	// wait is how long one call waits for a job's end, before the check reports the job's state.
	wait = 60 * time.Second
	// pause is the pause before the next such call, since a server that stops does not wait.
	pause = time.Second
)

// Options say what to check.
type Options struct {
	// URL is the address of the REST API, as in https://spiders.example.org.
	URL string
	// Certificate, in PEM, is the one that the server has to present, whatever names it is for. If it is empty, the server's
	// certificate has to be valid for the URL, by the machine's authorities.
	Certificate []byte
	// Key is the API key. Without one, Run checks only the probes.
	Key string
	// Spider is the name of a spider to run to its end. If it is empty, none runs.
	Spider string
}

// Run checks the REST API until ctx ends, and writes to out, line by line, what works. Its error says what does not.
func Run(ctx context.Context, options Options, out io.Writer) error {
	api, err := newClient(options)
	if err != nil {
		return err
	}
	for _, probe := range []struct {
		path string
		ask  func(context.Context) (*client.Health, error)
	}{{"/livez", api.GetLivez}, {"/readyz", api.GetReadyz}} {
		health, err := probe.ask(ctx)
		if err != nil {
			return err
		}
		if health.Status != "ok" {
			return fmt.Errorf("%s: the API calls itself %s: %s", probe.path, health.Status, health.Message)
		}
		say(out, "%s: ok", probe.path)
	}
	switch {
	case options.Key == "" && options.Spider != "":
		return errors.New("running a spider needs an API key")
	case options.Key == "":
		say(out, "No API key was given: nothing else was tried.")
		return nil
	}
	me, err := api.GetMe(ctx)
	if err != nil {
		return err
	}
	say(out, "The API key acts as user %s of namespace %s.", me.UserID, me.Namespace)
	if options.Spider == "" {
		say(out, "No spider was named: none was run.")
		return nil
	}
	return runSpider(ctx, api, options.Spider, out)
}

// runSpider starts a job and waits for its end.
func runSpider(ctx context.Context, api *client.Client, spider string, out io.Writer) error {
	started, err := api.StartJob(ctx, client.StartJob{SpiderName: spider}, client.StartJobParams{})
	if err != nil {
		return err
	}
	say(out, "Job %s of spider %s was started.", started.JobID, spider)
	for {
		job, err := api.GetJob(ctx, started.JobID, client.GetJobParams{Wait: wait})
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("job %s has not ended in time, and goes on: %w", started.JobID, ctx.Err())
		case err != nil:
			return err
		case job.FinishedAt.IsZero():
			say(out, "It is %s%s", job.Status, because(job))
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
		case job.Status != client.JobStatusFinished:
			return fmt.Errorf("job %s ended as %s%s", job.ID, job.Status, because(job))
		default:
			say(out, "It finished, with %d items%s", job.ItemsScraped, because(job))
			return nil
		}
	}
}

// because is the reason for a job's status, in a form that ends a sentence.
func because(job *client.Job) string {
	var reason, message string
	if job.Reason != "" {
		reason = " (" + job.Reason + ")"
	}
	if job.Message != "" {
		message = ": " + job.Message
	}
	return reason + message
}

func say(out io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(out, format+"\n", args...)
}

// newClient makes a client that makes each call once: the check has to report what does not work the first time.
func newClient(options Options) (*client.Client, error) {
	transport, err := trusting(options.Certificate)
	if err != nil {
		return nil, err
	}
	return client.New(options.URL, options.Key, client.WithAttempts(1), client.WithHTTPClient(&http.Client{Transport: transport}))
}

// trusting makes connections to the server that presents the certificate or, without one, to any whose certificate is valid for
// its name.
func trusting(certificate []byte) (http.RoundTripper, error) {
	if len(certificate) == 0 {
		return http.DefaultTransport, nil
	}
	block, _ := pem.Decode(certificate)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("there is no PEM certificate in the certificate's file")
	}
	return &http.Transport{TLSClientConfig: &tls.Config{
		MinVersion: tls.VersionTLS12,
		// The server that has the key of this very certificate is the right one. Its names do not matter here.
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection is stricter.
		VerifyConnection: func(state tls.ConnectionState) error {
			if !bytes.Equal(state.PeerCertificates[0].Raw, block.Bytes) {
				return errors.New("the server shows another certificate than the one it should")
			}
			return nil
		},
	}}, nil
}
