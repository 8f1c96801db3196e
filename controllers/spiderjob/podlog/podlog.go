package podlog

import (
	"cmp"
	"context"
	"io"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/scrapethis/spider-operator/controllers/spiderjob/stats"
)

// Target is a container whose log is read, and the SpiderJob to enqueue when something was learned from it.
type Target struct {
	// Namespace and Name are the Pod's.
	Namespace, Name string
	// UID is the Pod's; everything is kept under it.
	UID types.UID
	// Node is the node that the Pod runs on: the reads of one node's logs never delay another's. It is empty for a Pod that has
	// not been scheduled, and may be set later; such a Pod's reads are bounded as if it had its own node.
	Node string
	// Container is the container of the Pod that runs the spider.
	Container string
	// SpiderJob is the SpiderJob that the Pod works for.
	SpiderJob types.NamespacedName
}

// Mode is how a Pod's log is read. A Pod's mode only ever rises.
type Mode int

const (
	// Sample reads the log's end now and then, while the Pod runs.
	Sample Mode = iota + 1
	// Follow opens a stream at once and keeps it to its end: the Pod is being deleted, and its log with it.
	Follow
	// Final reads the log's end once, since the container has terminated. An open stream gets a moment to reach its own end
	// instead.
	Final
)

// String returns the mode as metrics and logs name it.
func (m Mode) String() string {
	switch m {
	case Sample:
		return "sample"
	case Follow:
		return "follow"
	case Final:
		return "final"
	default:
		return "none"
	}
}

// Reading is what is known from a Pod's log. The zero Reading means nothing.
type Reading struct {
	// Mode is how the log is read; zero if it was not requested.
	Mode Mode
	// Counts are the best so far, once Known. Items never goes down, except for Final counts, which replace all others. In Sample
	// they have a finish reason, and may be Final, only while every spider has closed and nothing is written any more (Quiet is
	// before Read): the process lives on, and another crawl may still begin in it.
	Counts stats.Counts
	// Known says that counts were found.
	Known bool
	// ObservedAt is when Counts were read.
	ObservedAt time.Time
	// Read is when a read last reached the then end of the log, whether or not it found counts: silence is judged by it.
	Read time.Time
	// Whole says that the last such read began at the log's first line, and so missed nothing.
	Whole bool
	// Quiet is when a read first found the log to end as it still did at Read; zero if nothing was read.
	Quiet time.Time
	// Opened says that a follow stream has been answered: what the container writes from now on will be seen, unless there are
	// more streams than Options.Streams, and this one made way for another until its log was gone.
	Opened bool
	// Done says that Follow or Final has ended, with Counts.Final or without: nothing more will come. It is reset only if Final
	// is requested after a stream that had to be given up while the container still ran.
	Done bool
	// Err says why the last read failed, or why none is tried at the moment; nil once one succeeds.
	Err error
	// Since is when the current mode, Follow or Final, was first requested. It is zero in Sample.
	Since time.Time
	// Began is when the read of the current mode, Follow or Final, really began; patience with a read counts from here. It is
	// zero in Sample and while the read waits for its turn. When a final read that failed waits once more, Began is zero again,
	// and is later set back by as much as it waited: time since Began was never spent in a queue.
	//
	// Waiting is bounded. A node's final reads begin in the order of the requests, four at once, the nodes taking turns; those of
	// a node that hangs end at once, Done and with Err, as soon as three reads in a row brought nothing, which takes at most 3 ×
	// ReadTimeout from the first of them; and what has waited for two minutes is Done, with Err.
	Began time.Time
}

// Source opens logs.
type Source interface {
	// Open returns the log of a target. Open and the reads must return when ctx ends. The error of a Pod that does not
	// exist satisfies apierrors.IsNotFound.
	Open(ctx context.Context, target Target, options *corev1.PodLogOptions) (io.ReadCloser, error)
}

// Options bound the resources of a Collector. Zero values mean the defaults.
type Options struct {
	// Interval is how often a running Pod's log is sampled, as long as Budget allows. Default 10 s.
	Interval time.Duration
	// Budget bounds the samples per second. With more than Interval × Budget Pods running, the actual interval is the number of
	// Pods divided by Budget: 1,000 Pods at the defaults are sampled every 100 s. Default 10.
	Budget float64
	// Concurrency bounds the concurrent sample and final reads, half of it for either. One node has at most four of them, and
	// nodes whose last read did not end in time have together at most half of either half. Default 16.
	Concurrency int
	// Streams bounds the concurrent follow streams; further ones wait. Each takes some 100 KiB of memory, however much log it
	// brings. One node gets more than a quarter of them only out of one half. If a stream waits for its turn, one that is not
	// answered within ReadTimeout makes way, and so does one that has had its slot for 2 × ReadTimeout if its node has more of
	// them than the other would then have, or the other has none. So, however long streams last, no node that answers waits for
	// its first for longer than 2 × ReadTimeout for every Streams nodes that wait before it. Default 200.
	Streams int
	// ReadTimeout bounds one sample or final read. Default 5 s.
	ReadTimeout time.Duration
	// FollowTimeout bounds how long a Pod's log is followed, not counting the waits of a stream that made way. Default 30 min.
	FollowTimeout time.Duration
	// TailLines is how many of a log's last lines are requested. Default 1,000.
	//
	// A final read requests 32,000 lines if these are not enough: they contain no final counts, or those of several crawls. It
	// also requests the first 256 KiB, for a feed that could not be opened, if the counts mention errors and the lines do not
	// reach the beginning.
	TailLines int64
	// MaxBytes bounds what is taken from one answer to a sample or final read, and from one stream without a pause; the answer
	// with 32,000 lines may have four times as much. A read that reaches it requests fewer lines: an eighth of TailLines, twice
	// at most and down to 64, or at most three quarters of the lines that it got of the 32,000. So a sample takes at most 3 ×
	// MaxBytes, usually 1,000 lines, and a final read at most some 12 × MaxBytes, usually the same lines. All answers to a read
	// share its ReadTimeout. Memory does not grow with any of this. Default 4 MiB.
	MaxBytes int
	// Clock is the source of all times and timers. Default the real one.
	Clock clock.WithTickerAndDelayedExecution
	// Log receives failed reads, at verbosity 1.
	Log logr.Logger
}

func (o Options) withDefaults() Options {
	o.Interval = cmp.Or(o.Interval, 10*time.Second)
	o.Budget = cmp.Or(o.Budget, 10)
	o.Concurrency = cmp.Or(o.Concurrency, 16)
	o.Streams = cmp.Or(o.Streams, 200)
	o.ReadTimeout = cmp.Or(o.ReadTimeout, 5*time.Second)
	o.FollowTimeout = cmp.Or(o.FollowTimeout, 30*time.Minute)
	o.TailLines = cmp.Or(o.TailLines, 1000)
	o.MaxBytes = cmp.Or(o.MaxBytes, 4<<20)
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	return o
}
