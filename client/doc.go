// Package client calls the REST API of spider-operator: it starts jobs, waits for them, lists and cancels them, and follows their
// events and logs.
//
// The types are generated from the contract that the server serves, /openapi.yaml; the methods are named after its operations.
// The package needs only the standard library.
//
// A call that is safe to repeat is retried if the server, or the network, fails for a moment, after the time that the server
// asks for: see [WithAttempts]. An Idempotency-Key makes a start safe to repeat. Refusals are an [*Error].
//
// Answers may grow: fields of a newer server are ignored, and texts such as a job's Reason may have values that are not
// documented yet.
package client
