package v1alpha1

// Labels and annotations of the operator. Users may select objects by the labels, and write tags and notes; the
// other annotations are internal.
const (
	// LabelSpiderJob is on every Job and Pod: the name of the SpiderJob that they run. The caches select objects that have it.
	LabelSpiderJob = "scrapethis.app/spiderjob"
	// LabelSpiderJobUID is on every Job and Pod: the UID of that SpiderJob, which distinguishes it from an earlier one of the
	// same name.
	LabelSpiderJobUID = "scrapethis.app/spiderjob-uid"
	// LabelSpider is on every Job and Pod: the name of the Spider resource that they run.
	LabelSpider = "scrapethis.app/spider"
	// LabelSchedule is on every SpiderJob of a SpiderSchedule: the schedule's name.
	LabelSchedule = "scrapethis.app/schedule"
	// LabelOrigin is on every SpiderJob that the operator has created: how it came to be, one of the Origin constants. One
	// without it was made by kubectl or another client of Kubernetes.
	LabelOrigin = "scrapethis.app/origin"
	// LabelTagPrefix begins the labels that are a SpiderJob's tags: the tag follows, and the value is empty. Only the metadata of a
	// SpiderJob has them, not its Job and Pod: a change of tags reaches no run.
	LabelTagPrefix = "tag.scrapethis.app/"
	// LabelQueueName is Kueue's own label: the local queue that admits the Job.
	LabelQueueName = "kueue.x-k8s.io/queue-name"

	// AnnotationPlan is on every Job: what the controller has to know of the Spider as it was when the Job was created, as
	// JSON. It is internal, not an API.
	AnnotationPlan = "scrapethis.app/plan"

	// AnnotationNote is on a SpiderJob that somebody has noted something about: the text, of at most 1 KiB where the REST API has
	// written it.
	AnnotationNote = "scrapethis.app/note"
	// AnnotationRequestHash is on every SpiderJob that was started with an Idempotency-Key: the SHA-256, in hex, of the request
	// body.
	AnnotationRequestHash = "scrapethis.app/request-hash"
)

// ContainerName is the name of the container that runs the spider, in every Pod of a SpiderJob.
const ContainerName = "spider"

// Values of LabelOrigin.
const (
	// OriginAPI is a job that was started through the REST API, also by asking for a schedule's next run now.
	OriginAPI = "api"
	// OriginKubectl is a job without the label.
	OriginKubectl = "kubectl"
	// OriginSchedule is a run that a schedule started at its time.
	OriginSchedule = "schedule"
	// OriginBackfill is a run for a time that had passed, by request.
	OriginBackfill = "backfill"
	// OriginRerun is a job that was started through the REST API as another one had been.
	OriginRerun = "rerun"
)
