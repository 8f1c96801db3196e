// Package client calls the REST API of spider-operator: it starts jobs, waits for them, lists and cancels them, and follows their
// events and logs.
//
// The types are generated from the contract that the server serves, /openapi.yaml; the methods are named by its operations. Nothing
// but the standard library is needed.
//
// A call that is safe to repeat is tried again where the server, or the way to it, fails for a moment, after the time that the
// server asks for: see [WithAttempts]. A start is made safe by an Idempotency-Key of its own. Refusals are an [*Error].
//
// Answers grow: fields of a newer server are ignored, and texts such as a job's Reason may have values that are not documented yet.
package client
