// Package clients has clients of the REST API that stock generators make from its contract. It tests them against two servers:
// the current one, and a simulated newer one.
package clients
