// Command counter is a spider that is neither Scrapy nor Python: it shows all that an image needs to run as a spider job.
// Arguments come in SPIDER_ARGUMENTS, a JSON object of strings; the counts leave in a JSON termination message.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// terminationLog is where Kubernetes reads a container's termination message, unless the Pod says otherwise.
const terminationLog = "/dev/termination-log"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	code, message := run(ctx, os.Getenv("SPIDER_ARGUMENTS"), os.Stdout)
	stop()
	fmt.Println(string(message))
	if err := os.WriteFile(terminationLog, message, 0o600); err != nil {
		fmt.Fprintln(os.Stderr, "counter: write the termination message:", err)
	}
	os.Exit(code)
}
