package queue

// Limits are how many workers may be in progress at once, each at least 1 so that no limit can stop all work.
type Limits struct {
	// Workers is how many there are.
	Workers int
	// Creations is how many may be creations, of all namespaces together: half. A creation passes webhooks of others, which may
	// hang until kube-apiserver's own time limit.
	Creations int
	// Shared is how many one namespace may hold while another has something ready: a quarter.
	Shared int
	// Alone is how many a namespace may hold that nobody shares with: all but a quarter, so that whoever comes next is served at
	// once even where every call of this one hangs. With fewer than four workers it is all of them.
	Alone int
	// CreationsAlone is how many of them may be creations, by the same rule: all but a quarter of Creations.
	CreationsAlone int
}

// LimitsFor are the limits for that many workers, at least 1.
func LimitsFor(workers int) Limits {
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
