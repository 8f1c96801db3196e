package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/scrapethis/spider-operator/hack/internal/command"
)

var forwardPattern = regexp.MustCompile(`^Forwarding from (127\.0\.0\.1:\d+) `)

// forward makes the REST API reachable on this machine until the demo ends.
func (d *demo) forward(ctx context.Context) (string, error) {
	ctx, cancel := context.WithCancel(ctx)
	cmd := command.New(ctx, d.kubectl, "port-forward", "--namespace", operatorNamespace, "--address", "127.0.0.1",
		"service/"+apiService, ":80")
	var complaint strings.Builder
	cmd.Stderr = &complaint
	output, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		return "", fmt.Errorf("forward a port to the REST API: %w", err)
	}
	end := func() {
		cancel()
		_ = cmd.Wait() // ended by a signal, which is an error to Wait
	}
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		if match := forwardPattern.FindStringSubmatch(lines.Text()); match != nil {
			// kubectl says something about every connection, and must not wait for a reader.
			go func() { _, _ = io.Copy(io.Discard, output) }()
			d.endForward = end
			return "http://" + match[1], nil
		}
	}
	end()
	return "", errors.New("forward a port to the REST API: kubectl port-forward ended" + command.Indented(complaint.String()))
}
