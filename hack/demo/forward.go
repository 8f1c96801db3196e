package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

var forwardPattern = regexp.MustCompile(`^Forwarding from (127\.0\.0\.1:\d+) `)

// forward makes the REST API reachable on this machine until the demo ends.
func (d *demo) forward(ctx context.Context) (string, error) {
	ctx, cancel := context.WithCancel(ctx)
	command := d.kubectl.command(ctx, "port-forward", "--namespace", operatorNamespace, "--address", "127.0.0.1",
		"service/"+apiService, ":80")
	var complaint strings.Builder
	command.Stderr = &complaint
	output, err := command.StdoutPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		cancel()
		return "", fmt.Errorf("forward a port to the REST API: %w", err)
	}
	d.closers = append(d.closers, func() {
		cancel()
		_ = command.Wait() // ended by a signal, which is an error to Wait
	})
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		if match := forwardPattern.FindStringSubmatch(lines.Text()); match != nil {
			// kubectl says something about every connection, and must not wait for a reader.
			go func() {
				for lines.Scan() {
				}
			}()
			return "http://" + match[1], nil
		}
	}
	cancel()
	_ = command.Wait()
	d.closers = nil
	return "", errors.New("forward a port to the REST API: kubectl port-forward ended" + indented(complaint.String()))
}
