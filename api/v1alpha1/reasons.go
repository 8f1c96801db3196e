package v1alpha1

// Reasons that a SpiderJob's status can give. They are part of the API: programs switch on them.
const (
	// ReasonCompleted is of Finished: the spider ran to its end and said so.
	ReasonCompleted = "Completed"
	// ReasonCompletedUnverified is of Finished: the process exited with 0, but no final counts could be read.
	ReasonCompletedUnverified = "CompletedUnverified"

	// ReasonStoppedItself is of Finished: the spider closed with finish reason shutdown, and nobody had told it to.
	ReasonStoppedItself = "StoppedItself"

	// ReasonCancelled is of Cancelled: stopped on request.
	ReasonCancelled = "Cancelled"

	// ReasonDeadlineExceeded is of Error: an attempt ran longer than its timeout, and was stopped.
	ReasonDeadlineExceeded = "DeadlineExceeded"
	// ReasonStartDeadlineExceeded is of Error: an attempt did not start within its start deadline.
	ReasonStartDeadlineExceeded = "StartDeadlineExceeded"
	// ReasonOutOfStorage is of Error: the spider used more storage than its own limits, and was evicted.
	ReasonOutOfStorage = "OutOfStorage"
	// ReasonOutOfMemory is of Error: the container used more memory than its limit, and was killed.
	ReasonOutOfMemory = "OutOfMemory"
	// ReasonInterrupted is of Error when no further attempt is made, and of Running between two attempts: the Pod was
	// evicted, drained, preempted, lost by its node, or deleted.
	ReasonInterrupted = "Interrupted"
	// ReasonExitCode is of Error: the process exited with a code other than 0.
	ReasonExitCode = "ExitCode"
	// ReasonKilled is of Error: the process was ended by a signal that nobody here sent.
	ReasonKilled = "Killed"
	// ReasonSpiderFailed is of Error: the process exited with 0, but the spider itself says that it failed.
	ReasonSpiderFailed = "SpiderFailed"
	// ReasonExpectationsNotMet is of Error: the spider finished, and broke rules that its Spider or SpiderJob sets.
	ReasonExpectationsNotMet = "ExpectationsNotMet"
	// ReasonFeedFailed is of Error: the spider finished, but items could not be written or delivered.
	ReasonFeedFailed = "FeedFailed"
	// ReasonStalled is of Error: the counts stood still for longer than expectations allow, and the run was stopped.
	ReasonStalled = "Stalled"
	// ReasonSpiderNotFound is of Error: there is no such Spider.
	ReasonSpiderNotFound = "SpiderNotFound"
	// ReasonInvalidJob is of Error: the SpiderJob asks for what its Spider does not allow, or cannot be run at all.
	ReasonInvalidJob = "InvalidJob"
	// ReasonNameConflict is of Error: a Job of that name exists that is not this SpiderJob's.
	ReasonNameConflict = "NameConflict"
	// ReasonJobFailed is of Error: the Job failed without a Pod that could say why.
	ReasonJobFailed = "JobFailed"

	// ReasonImagePull is of Pending while the image cannot be pulled, and of Error once patience is over.
	ReasonImagePull = "ImagePull"
	// ReasonInvalidImage is of Pending while the image's name cannot be understood, and of Error once patience is over.
	ReasonInvalidImage = "InvalidImage"
	// ReasonConfiguration is of Pending while the container cannot be made (a Secret, ConfigMap or volume is missing, say), and
	// of Error once patience is over, or when an init container fails.
	ReasonConfiguration = "Configuration"
	// ReasonUnschedulable is of Pending: no node has room for the Pod.
	ReasonUnschedulable = "Unschedulable"
	// ReasonQuotaExceeded is of Pending: the namespace's ResourceQuota does not allow another Pod.
	ReasonQuotaExceeded = "QuotaExceeded"
	// ReasonPodForbidden is of Pending: admission refuses the Pod or its Job (Pod Security, a policy).
	ReasonPodForbidden = "PodForbidden"
	// ReasonServiceAccountNotFound is of Pending: the Pod's service account does not exist.
	ReasonServiceAccountNotFound = "ServiceAccountNotFound"
	// ReasonPodNotCreated is of Pending: the Pod or its Job could not be created, for another reason that the message gives.
	ReasonPodNotCreated = "PodNotCreated"
	// ReasonQueued is of Pending: an admission system holds the Job back.
	ReasonQueued = "Queued"
	// ReasonWaiting is of Pending: an earlier Job of the same name has to be gone first.
	ReasonWaiting = "WaitingForEarlierJob"
	// ReasonCreated is of Pending: nothing is known to be wrong; the Job is about to be made, or its Pod is being started.
	ReasonCreated = "Created"

	// ReasonRunning is of Running: the spider's process runs.
	ReasonRunning = "Running"
	// ReasonRetrying is of Running: an attempt failed, and the next one is about to start.
	ReasonRetrying = "Retrying"
	// ReasonStopping is of Pending and Running: the job is being stopped, and is not gone yet.
	ReasonStopping = "Stopping"
)
