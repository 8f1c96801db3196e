package queue

// Limits are how many workers may be in progress at once, each at least 1 so that no limit stops all work.
type Limits struct {
	// Workers is the number of workers.
	Workers int
	// Creations bounds the creations of all namespaces together: half of the workers. A creation passes webhooks of others, which
	// may hang up to kube-apiserver's own time limit.
	Creations int
	// Shared bounds the workers of one namespace while another has something ready: a quarter.
	Shared int
	// Alone bounds the workers of a namespace while no other has work: all but a quarter, so that the next namespace is served at
	// once even if every call of this one hangs. With fewer than four workers it is all of them.
	Alone int
	// CreationsAlone bounds the creations among them, by the same rule: all but a quarter of Creations.
	CreationsAlone int
}

// limitsFor returns the limits for this number of workers, at least 1.
func limitsFor(workers int) Limits {
	workers = max(workers, 1)
	creations := max(workers/2, 1)
	return Limits{
		Workers:        workers,
		Creations:      creations,
		Shared:         max(workers/4, 1),
		Alone:          workers - workers/4,
		CreationsAlone: creations - creations/4,
	}
}
