package client_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/scrapethis/spider-operator/client"
)

// Start a job, wait for its end, list what is running and cancel it.
func Example() {
	ctx := context.Background() // With a deadline, where a job may take too long.
	api, err := client.New(os.Getenv("SPIDER_API_URL"), os.Getenv("SPIDER_API_KEY"))
	if err != nil {
		log.Fatal(err)
	}

	started, err := api.StartJob(ctx, client.StartJob{
		SpiderName: "books",
		Arguments:  map[string]any{"max_pages": 3},
	}, client.StartJobParams{})
	if client.HasCode(err, client.CodeNotFound) {
		log.Fatal("there is no spider of this name")
	}
	if err != nil {
		log.Fatal(err)
	}
	job, err := api.WaitForEnd(ctx, started.JobID)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(job.Status, job.ItemsScraped, job.Message)

	running := client.ListJobsParams{Status: []client.JobStatus{client.JobStatusRunning}}
	for job, err := range api.AllJobs(ctx, running) {
		if err != nil {
			log.Fatal(err)
		}
		if err := api.CancelJob(ctx, job.ID, client.CancelJobParams{}); err != nil && !client.HasCode(err, client.CodeJobEnded) {
			log.Fatal(err)
		}
	}
}

// Follow all jobs, from how they are now on.
func ExampleClient_JobEvents() {
	api, err := client.New(os.Getenv("SPIDER_API_URL"), os.Getenv("SPIDER_API_KEY"))
	if err != nil {
		log.Fatal(err)
	}
	for event, err := range api.JobEvents(context.Background(), "0") {
		if err != nil {
			log.Fatal(err)
		}
		switch event.Type {
		case client.EventJob:
			fmt.Println(event.JobID, event.Job.Status)
		case client.EventDeleted:
			fmt.Println(event.JobID, "is gone")
		case client.EventReset:
			fmt.Println("forget what you know")
		}
	}
}
