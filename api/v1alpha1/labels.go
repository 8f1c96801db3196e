package v1alpha1

// Labels and annotations of the operator. Users may select by the labels; the annotations are the operator's own notes.
const (
	// LabelSpiderJob is on every Job and Pod: the name of the SpiderJob they run. The caches select by its presence.
	LabelSpiderJob = "scrapethis.app/spiderjob"
	// LabelSpiderJobUID is on every Job and Pod: the UID of that SpiderJob, which tells it from an earlier one of its name.
	LabelSpiderJobUID = "scrapethis.app/spiderjob-uid"
	// LabelSpider is on every Job and Pod: the name of the Spider resource they run.
	LabelSpider = "scrapethis.app/spider"
	// LabelQueueName is Kueue's own label: the local queue that admits the Job.
	LabelQueueName = "kueue.x-k8s.io/queue-name"

	// AnnotationPlan is on every Job: what the controller has to know of its Spider as it was when the Job was created, as
	// JSON. It is the controller's own note, and no API.
	AnnotationPlan = "scrapethis.app/plan"

	// AnnotationRequestHash is on a SpiderJob started with an Idempotency-Key: the SHA-256, in hex, of the request body.
	AnnotationRequestHash = "scrapethis.app/request-hash"
)

// ContainerName is the name of the container that runs the spider, in every Pod of a SpiderJob.
const ContainerName = "spider"
