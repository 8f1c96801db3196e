package process

import (
	"context"
	"fmt"
	"net"
)

// FreeAddress returns an address of the loopback, with its port, on which nothing listens.
func FreeAddress(ctx context.Context) (string, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return listener.Addr().String(), listener.Close()
}
