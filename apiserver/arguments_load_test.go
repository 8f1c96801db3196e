//go:build load

package apiserver

import "testing"

// TestLongArgumentsTakeNoMemoryUnderLoad fills a view with jobs, without arguments and with 32 KiB each, and reads the list once
// more.
func TestLongArgumentsTakeNoMemoryUnderLoad(t *testing.T) {
	measureMemory(t, 20_000)
}
