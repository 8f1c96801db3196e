// Command ogen lists, starts, waits for and cancels jobs by a client that checks each answer against the contract from which it
// was generated.
//
//	go tool ogen --config=ogen.yml --package=api --target=api --clean openapi.json
//	SPIDER_API_URL=… SPIDER_API_KEY=… go run . SPIDER [ARGUMENTS [LONG-ARGUMENTS]]
//
// SPIDER is the name of a spider that ends with ARGUMENTS, a JSON object, and takes its time with LONG-ARGUMENTS.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/go-faster/jx"
	"github.com/google/uuid"

	"github.com/scrapethis/spider-operator/test/clients/ogen/api"
)

func main() {
	if err := run(context.Background(), os.Getenv("SPIDER_API_URL"), key(os.Getenv("SPIDER_API_KEY")), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// key is an API key.
type key string

// ApiKey implements api.SecuritySource.
func (k key) ApiKey(context.Context, api.OperationName) (api.ApiKey, error) {
	return api.ApiKey{Token: string(k)}, nil
}

type program struct {
	*api.Client

	spider string
}

func run(ctx context.Context, url string, k key, arguments []string) error {
	if len(arguments) == 0 {
		return errors.New("usage: ogen SPIDER [ARGUMENTS [LONG-ARGUMENTS]]")
	}
	client, err := api.NewClient(url, k)
	if err != nil {
		return err
	}
	p := program{client, arguments[0]}
	arguments = append(arguments, "{}", "{}")

	finished, err := p.startAndWait(ctx, arguments[1], api.JobStatusFinished, func(string) error { return nil })
	if err != nil {
		return err
	}
	fmt.Println("finished", finished.ID, finished.ItemsScraped)
	cancelled, err := p.startAndWait(ctx, arguments[2], api.JobStatusCancelled, func(id string) error {
		answer, err := p.CancelJob(ctx, api.CancelJobParams{ID: id})
		if _, ok := answer.(*api.CancelledJobHeaders); err != nil || !ok {
			return fmt.Errorf("cancel: %T %+v %w", answer, answer, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	fmt.Println("cancelled", cancelled.ID)
	if err := p.list(ctx, finished, cancelled); err != nil {
		return err
	}
	answer, err := p.GetJob(ctx, api.GetJobParams{ID: uuid.NewString()})
	if _, ok := answer.(*api.NotFoundHeaders); err != nil || !ok {
		return fmt.Errorf("read what there is not: %T %+v %w", answer, answer, err)
	}
	fmt.Println("listed both, and was told of one that is unknown")
	return nil
}

// startAndWait starts a job, calls a function with it, and returns it once nothing of it runs any more.
func (p *program) startAndWait(ctx context.Context, arguments string, want api.JobStatus,
	do func(id string) error) (*api.Job, error) {
	var given map[string]json.RawMessage
	if err := json.Unmarshal([]byte(arguments), &given); err != nil {
		return nil, fmt.Errorf("read the arguments: %w", err)
	}
	body := api.StartJob{SpiderName: api.NewOptNilString(p.spider),
		Arguments: api.NewOptNilStartJobArguments(api.StartJobArguments{})}
	for name, value := range given {
		body.Arguments.Value[name] = jx.Raw(value)
	}
	answer, err := p.StartJob(ctx, &body, api.StartJobParams{IdempotencyKey: api.NewOptString(uuid.NewString())})
	started, ok := answer.(*api.StartedJobHeaders)
	if err != nil || !ok {
		return nil, fmt.Errorf("start: %T %+v %w", answer, answer, err)
	}
	id := started.Response.JobId.String()
	if err := do(id); err != nil {
		return nil, err
	}
	for {
		answer, err := p.GetJob(ctx, api.GetJobParams{ID: id, Wait: api.NewOptString("30s")})
		job, ok := answer.(*api.JobHeaders)
		switch {
		case err != nil || !ok:
			return nil, fmt.Errorf("wait: %T %+v %w", answer, answer, err)
		case !job.Response.FinishedAt.Set:
		case job.Response.Status != want:
			return nil, fmt.Errorf("job %s ended as %s, not as %s", id, job.Response.Status, want)
		default:
			return &job.Response, nil
		}
	}
}

// list requires these jobs to be among the newest.
func (p *program) list(ctx context.Context, wanted ...*api.Job) error {
	answer, err := p.ListJobs(ctx, api.ListJobsParams{SpiderName: api.NewOptString(p.spider), Limit: api.NewOptInt(100)})
	page, ok := answer.(*api.ListJobsOKHeaders)
	if err != nil || !ok {
		return fmt.Errorf("list: %T %+v %w", answer, answer, err)
	}
	status := map[uuid.UUID]api.JobStatus{}
	for _, job := range page.Response {
		status[job.ID] = job.Status
	}
	for _, job := range wanted {
		if status[job.ID] != job.Status {
			return fmt.Errorf("job %s is listed as %q, and is %s", job.ID, status[job.ID], job.Status)
		}
	}
	return nil
}
