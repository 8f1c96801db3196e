package view

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"unique"

	"github.com/google/uuid"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/internal/allowed"
	"github.com/scrapethis/spider-operator/internal/order"
)

// Status is a job's status in the REST API: the terminal phase, or Cancelled once a cancellation is recorded.
type Status uint8

// The statuses of a job.
const (
	Pending Status = iota
	Running
	Finished
	Cancelled
	Error
	statusCount
)

var statusNames = [statusCount]string{"pending", "running", "finished", "cancelled", "error"}

// String returns the status as named in the REST API.
func (s Status) String() string { return statusNames[s] }

// ParseStatus returns the status with the given name in the REST API.
func ParseStatus(name string) (Status, bool) {
	for i, n := range statusNames {
		if n == name {
			return Status(i), true
		}
	}
	return 0, false
}

// Job is what the REST API needs to know of a SpiderJob, in a compact form. A Job never changes: a newer state of the SpiderJob
// is another Job. Times are in seconds since 1970, as precise as Kubernetes keeps them; 0 means absent.
type Job struct {
	ID              uuid.UUID
	Namespace       string
	Name            string
	ResourceVersion string
	UserID          string // The spec.userID, by which visibility is decided; empty for the namespace itself.

	// SpiderID is the id of the Spider the job refers to, whether or not it exists.
	SpiderID uuid.UUID
	// SpiderRef is the name of the Spider resource.
	SpiderRef string
	// SpiderName and RepoPath are those of the Spider that ran; until then those of the current Spider.
	SpiderName, RepoPath string

	Created, Started, Finished, CancelRequested int64

	Message string
	// Note is what somebody has noted about the job; nil if nobody has.
	Note *string
	// Arguments is a JSON object of strings; empty if there are none, or if ArgumentsOmitted says that they are too long to keep.
	Arguments string
	Reason    Text
	Image     Text
	Tags      Tags
	// Scheduled is set in runs of a SpiderSchedule.
	Scheduled *Scheduled
	// RequestHash is the hash of the request that started the job with an Idempotency-Key, in hex, if one did.
	RequestHash string

	Stats Stats
	// Expectations says whether the job met its expectations; nil if it has none, or is not judged yet.
	Expectations *Judgement

	// ExitCode is that of the last attempt; NoExitCode if there is none.
	ExitCode int32
	// CancelGrace is the grace period of the cancellation, in seconds; -1 if none was given.
	CancelGrace int32
	Attempts    int32
	// ArgumentBytes is how many bytes all names and values of the arguments have.
	ArgumentBytes int32
	// MaxWait is how long the job may wait for its admission, in seconds; 0 for any time.
	MaxWait int32
	// Generation counts, modulo 65,536, the changes of the specification.
	Generation uint16
	// Priority is from -1,000 to 1,000.
	Priority int16
	Status   Status
	Origin   Origin
	// ArgumentsOmitted says that only Kubernetes has the arguments.
	ArgumentsOmitted bool
	// Ended says that the phase is terminal. A cancelled job may not have ended yet.
	Ended bool

	marks  marks
	kept   note
	bornAt uint64
}

// marks are yes or no, together in a byte.
type marks uint8

const (
	// snapshot says that SpiderName and RepoPath are of the Spider that ran, and will not change.
	snapshot marks = 1 << iota
	// hasJob says that there is a Job in Kubernetes.
	hasJob
)

func (m marks) has(mark marks) bool { return m&mark != 0 }

// Queued reports whether the job waits for its start without a Job in Kubernetes: because limits do not admit it, for any other
// reason, or since it is new.
func (j *Job) Queued() bool { return j.Status == Pending && !j.marks.has(hasJob) }

// Admitted reports whether the job takes its places of limits: it has a Job in Kubernetes and has not ended.
func (j *Job) Admitted() bool { return !j.Ended && j.marks.has(hasJob) }

// HeldBack reports whether limits hold the job back.
func (j *Job) HeldBack() bool { return j.Queued() && j.Reason == heldBack }

var heldBack = TextOf(v1alpha1.ReasonQueued)

// NoExitCode is the ExitCode of a job that has none. No process ends with it.
const NoExitCode = math.MinInt32

func (j *Job) ref() ref        { return ref{j.Namespace, j.Name} }
func (j *Job) version() string { return j.ResourceVersion }
func (j *Job) note() *note     { return &j.kept }
func (j *Job) born() *uint64   { return &j.bornAt }

// ArgumentsOf returns the arguments of a SpiderJob as a JSON object of strings; empty when there are none.
func ArgumentsOf(job *v1alpha1.SpiderJob) (string, error) {
	arguments, err := encodeStrings(job.Spec.Arguments)
	if err != nil {
		return "", fmt.Errorf("encoding the arguments of SpiderJob %s/%s: %w", job.Namespace, job.Name, err)
	}
	return arguments, nil
}

// User returns the user to show as the job's owner: its own, or the namespace itself.
func (j *Job) User() string {
	if j.UserID == "" {
		return j.Namespace
	}
	return j.UserID
}

// FromSpiderJob returns the compact form of a SpiderJob.
func FromSpiderJob(job *v1alpha1.SpiderJob) (*Job, error) {
	scheduled, err := scheduledOf(job)
	if err != nil {
		return nil, fmt.Errorf("parsing the id of the SpiderSchedule of SpiderJob %s/%s: %w", job.Namespace, job.Name, err)
	}
	id, err := uuid.Parse(job.ID())
	if err != nil {
		return nil, fmt.Errorf("parsing the id of SpiderJob %s/%s: %w", job.Namespace, job.Name, err)
	}
	spiderID, err := uuid.Parse(job.SpiderID())
	if err != nil {
		return nil, fmt.Errorf("parsing the id of the Spider of SpiderJob %s/%s: %w", job.Namespace, job.Name, err)
	}
	size := allowed.ArgumentsBytes(job.Spec.Arguments)
	arguments := ""
	if size <= allowed.KeptArgumentsBytes {
		if arguments, err = ArgumentsOf(job); err != nil {
			return nil, err
		}
	}
	expectations, err := judgementOf(&job.Status)
	if err != nil {
		return nil, fmt.Errorf("encoding the violations of SpiderJob %s/%s: %w", job.Namespace, job.Name, err)
	}
	j := &Job{
		ID:              id,
		Namespace:       intern(job.Namespace),
		Name:            job.Name,
		ResourceVersion: job.ResourceVersion,
		UserID:          intern(job.Spec.UserID),
		SpiderID:        spiderID,
		SpiderRef:       intern(job.Spec.SpiderRef.Name),
		Created:         seconds(&job.CreationTimestamp),
		Started:         seconds(job.Status.StartedAt),
		Finished:        seconds(job.Status.FinishedAt),
		Reason:          TextOf(job.Status.Reason),
		Message:         intern(job.Status.Message),
		Note:            noteOf(job),
		Arguments:       arguments,
		Scheduled:       scheduled,
		Tags:            TagsOf(job.Tags()...),
		RequestHash:     job.Annotations[v1alpha1.AnnotationRequestHash],
		Stats:           compactStats(job.Status.Stats),
		Expectations:    expectations,
		ExitCode:        ptr.Deref(job.Status.ExitCode, NoExitCode),
		CancelGrace:     -1,
		Attempts:        job.Status.Attempts,
		Generation:      uint16(job.Generation), //nolint:gosec // As documented.
		ArgumentBytes:   int32(size),            //nolint:gosec // At most 32 KiB: the schema refuses more.

		ArgumentsOmitted: size > allowed.KeptArgumentsBytes,
		Status:           statusOf(job),
		Origin:           originOf(job),
		Ended:            job.Status.Phase.Terminal(),
	}
	if c := job.Spec.Cancellation; c != nil {
		j.CancelRequested = seconds(c.RequestedAt)
		if c.GracePeriodSeconds != nil {
			j.CancelGrace = int32(*c.GracePeriodSeconds) //nolint:gosec // At most a day: the schema refuses more.
		}
	}
	j.Priority = int16(min(max(job.Spec.Priority, -order.MaxPriority), order.MaxPriority))
	if most := job.Spec.MaxWaitSeconds; most != nil {
		j.MaxWait = int32(*most) //nolint:gosec // At most a year: the schema refuses more.
	}
	if job.Status.JobUID != "" {
		j.marks |= hasJob
	}
	if s := job.Status.Spider; s != nil {
		j.Image = TextOf(s.Image)
		if s.Name != "" {
			j.SpiderName, j.RepoPath, j.marks = intern(s.Name), intern(s.RepoPath), j.marks|snapshot
		}
	}
	return j, nil
}

// Scheduled is what a run of a SpiderSchedule knows of it.
type Scheduled struct {
	// ScheduleID is the id of the schedule, whether or not it exists.
	ScheduleID uuid.UUID
	// At is the time for which the run was due, in seconds since 1970; 0 if it was started by request.
	At int64
}

// scheduledOf returns nil for a job that is no run of a schedule.
func scheduledOf(job *v1alpha1.SpiderJob) (*Scheduled, error) {
	text := job.ScheduleID()
	if text == "" {
		return nil, nil
	}
	id, err := uuid.Parse(text)
	return &Scheduled{ScheduleID: id, At: seconds(job.Spec.ScheduledFor)}, err
}

func statusOf(job *v1alpha1.SpiderJob) Status {
	switch phase := job.Status.Phase; {
	case phase == v1alpha1.PhaseFinished:
		return Finished
	case phase == v1alpha1.PhaseError:
		return Error
	case phase == v1alpha1.PhaseCancelled, job.Spec.Cancellation != nil:
		return Cancelled
	case phase == v1alpha1.PhaseRunning:
		return Running
	default:
		return Pending
	}
}

// encodeStrings encodes arguments or settings as the text that answers contain, which takes a fraction of a map's memory.
func encodeStrings[V ~string](values map[string]V) (string, error) {
	if len(values) == 0 {
		return "", nil
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(values); err != nil {
		return "", err
	}
	return string(bytes.TrimSuffix(text.Bytes(), []byte("\n"))), nil
}

func seconds(t *metav1.Time) int64 {
	if t == nil || t.IsZero() {
		return 0
	}
	return t.Unix()
}

// intern returns a shared string equal to s: most jobs have few different namespaces, users, spiders, reasons and images.
func intern(s string) string { return unique.Make(s).Value() }

// newestFirst orders jobs by creation, the newest first, and jobs of the same second by id, the highest first: ids made by the
// REST API begin with the time in milliseconds. Two jobs have the same id if somebody names an object by the id of another.
func newestFirst(a, b *Job) bool {
	if a.Created != b.Created {
		return a.Created > b.Created
	}
	if newer := bytes.Compare(a.ID[:], b.ID[:]); newer != 0 {
		return newer > 0
	}
	return a.Name < b.Name
}

// compareNewest orders positions as newestFirst orders jobs.
func compareNewest(a, b Position) int {
	return cmp.Or(cmp.Compare(b.Created, a.Created), bytes.Compare(b.ID[:], a.ID[:]))
}
