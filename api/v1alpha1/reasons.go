package v1alpha1

// Reasons in the status of a SpiderJob. They are part of the API: programs depend on them.
const (
	// ReasonCompleted goes with Finished: the spider ran to its end and said so.
	ReasonCompleted = "Completed"
	// ReasonCompletedUnverified goes with Finished: the process exited with 0, but no final counts could be read.
	ReasonCompletedUnverified = "CompletedUnverified"

	// ReasonStoppedItself goes with Finished: the spider closed with the finish reason shutdown without having been sent a signal.
	ReasonStoppedItself = "StoppedItself"

	// ReasonCancelled goes with Cancelled: stopped on request.
	ReasonCancelled = "Cancelled"

	// ReasonDeadlineExceeded goes with Error: an attempt ran longer than its timeout and was stopped.
	ReasonDeadlineExceeded = "DeadlineExceeded"
	// ReasonStartDeadlineExceeded goes with Error: an attempt did not start within its start deadline.
	ReasonStartDeadlineExceeded = "StartDeadlineExceeded"
	// ReasonMaxWaitExceeded goes with Error: limits of its namespace or Spider did not admit the run within its maxWaitSeconds.
	ReasonMaxWaitExceeded = "MaxWaitExceeded"
	// ReasonOutOfStorage goes with Error: the spider used more storage than its own limits, and was evicted.
	ReasonOutOfStorage = "OutOfStorage"
	// ReasonOutOfMemory goes with Error: the container used more memory than its limit, and was killed.
	ReasonOutOfMemory = "OutOfMemory"
	// ReasonInterrupted goes with Error when no further attempt is made, and with Running between two attempts: the Pod was
	// evicted, drained, preempted, lost by its node, or deleted.
	ReasonInterrupted = "Interrupted"
	// ReasonExitCode goes with Error: the process exited with a code other than 0.
	ReasonExitCode = "ExitCode"
	// ReasonKilled goes with Error: the process was ended by a signal that neither the operator nor the kubelet sent.
	ReasonKilled = "Killed"
	// ReasonSpiderFailed goes with Error: the process exited with 0, but the spider itself says that it failed.
	ReasonSpiderFailed = "SpiderFailed"
	// ReasonExpectationsNotMet goes with Error: the spider finished, but broke rules that its Spider or SpiderJob sets.
	ReasonExpectationsNotMet = "ExpectationsNotMet"
	// ReasonFeedFailed goes with Error: the spider finished, but items could not be written or delivered.
	ReasonFeedFailed = "FeedFailed"
	// ReasonStalled goes with Error: the counts stood still for longer than expectations allow, and the run was stopped.
	ReasonStalled = "Stalled"
	// ReasonSpiderNotFound goes with Error: there is no such Spider.
	ReasonSpiderNotFound = "SpiderNotFound"
	// ReasonInvalidJob goes with Error: the SpiderJob asks for something that its Spider does not allow, or cannot be run at all.
	ReasonInvalidJob = "InvalidJob"
	// ReasonNameConflict goes with Error: a Job of that name exists that does not belong to this SpiderJob.
	ReasonNameConflict = "NameConflict"
	// ReasonJobFailed goes with Error: the Job failed without a Pod that could say why.
	ReasonJobFailed = "JobFailed"

	// ReasonImagePull goes with Pending while the image cannot be pulled, and with Error once patience is over.
	ReasonImagePull = "ImagePull"
	// ReasonInvalidImage goes with Pending while the name of the image is invalid, and with Error once patience is over.
	ReasonInvalidImage = "InvalidImage"
	// ReasonConfiguration goes with Pending while the container cannot be created (because a Secret, ConfigMap or volume is
	// missing, say), and with Error once patience is over, or when an init container fails.
	ReasonConfiguration = "Configuration"
	// ReasonUnschedulable goes with Pending: no node has room for the Pod.
	ReasonUnschedulable = "Unschedulable"
	// ReasonQuotaExceeded goes with Pending: the namespace's ResourceQuota does not allow another Pod.
	ReasonQuotaExceeded = "QuotaExceeded"
	// ReasonPodForbidden goes with Pending: admission refuses the Pod or its Job (Pod Security, a policy).
	ReasonPodForbidden = "PodForbidden"
	// ReasonServiceAccountNotFound goes with Pending: the Pod's service account does not exist.
	ReasonServiceAccountNotFound = "ServiceAccountNotFound"
	// ReasonPodNotCreated goes with Pending: the Pod or its Job could not be created for another reason, which the message gives.
	ReasonPodNotCreated = "PodNotCreated"
	// ReasonQueued goes with Pending: limits of the namespace or the Spider hold the run back, or an admission system its Job.
	ReasonQueued = "Queued"
	// ReasonWaiting goes with Pending: an earlier Job of the same name has to be deleted first.
	ReasonWaiting = "WaitingForEarlierJob"
	// ReasonCreated goes with Pending: nothing is known to be wrong; the Job is about to be created, or its Pod is being started.
	ReasonCreated = "Created"

	// ReasonRunning goes with Running: the spider's process runs.
	ReasonRunning = "Running"
	// ReasonRetrying goes with Running: an attempt failed, and the next one is about to start.
	ReasonRetrying = "Retrying"
	// ReasonStopping goes with Pending and Running: the job is being stopped, but has not ended yet.
	ReasonStopping = "Stopping"
)
