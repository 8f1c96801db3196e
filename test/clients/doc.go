// Package clients has clients of the REST API that stock generators make from its contract, and tests them against a server that
// runs: that of today, and one of tomorrow.
package clients
