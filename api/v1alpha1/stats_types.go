package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Stats are the counts known of a run.
type Stats struct {
	// itemsScraped is the number of items scraped.
	//
	// +required
	// +kubebuilder:validation:Minimum=0
	ItemsScraped int64 `json:"itemsScraped"`

	// responses is the number of responses received.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	Responses *int64 `json:"responses,omitempty"`

	// requests is the number of requests sent.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	Requests *int64 `json:"requests,omitempty"`

	// errors is the number of errors logged.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	Errors *int64 `json:"errors,omitempty"`

	// requestRetries is the number of requests that were repeated after a failure.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	RequestRetries *int64 `json:"requestRetries,omitempty"`

	// failedRequests is the number of downloads that ended in an error instead of a response. Each try counts.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	FailedRequests *int64 `json:"failedRequests,omitempty"`

	// responses2xx is the number of responses with a status from 200 to 299.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	Responses2xx *int64 `json:"responses2xx,omitempty"`

	// responses3xx is the number of responses with a status from 300 to 399.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	Responses3xx *int64 `json:"responses3xx,omitempty"`

	// responses4xx is the number of responses with a status from 400 to 499.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	Responses4xx *int64 `json:"responses4xx,omitempty"`

	// responses5xx is the number of responses with a status from 500 to 599.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	Responses5xx *int64 `json:"responses5xx,omitempty"`

	// itemsDropped is the number of items that the spider's own pipelines dropped.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	ItemsDropped *int64 `json:"itemsDropped,omitempty"`

	// feedFailures is the number of feeds that could not be written or delivered.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	FeedFailures *int64 `json:"feedFailures,omitempty"`

	// peakMemoryBytes is the most memory that the process has used, as measured by itself.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	PeakMemoryBytes *int64 `json:"peakMemoryBytes,omitempty"`

	// elapsedSeconds is how long the crawl took, in whole seconds.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	ElapsedSeconds *int64 `json:"elapsedSeconds,omitempty"`

	// finishReason is why the spider closed, as reported by the spider.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=128
	FinishReason string `json:"finishReason,omitempty"`

	// source is what the counts were read from. None means that no counts could be read, which is not the same as zero.
	//
	// +required
	Source StatsOrigin `json:"source"`

	// attempt is the attempt that the counts are of, from 1.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	Attempt int32 `json:"attempt,omitempty"`

	// observedAt is when the counts were read.
	//
	// +optional
	ObservedAt *metav1.Time `json:"observedAt,omitempty"`

	// final says that the spider itself reported these counts when it closed. Counts of an ended job that are not final are the
	// last ones known.
	//
	// +optional
	Final bool `json:"final,omitempty"`
}

// StatsOrigin is what counts were read from.
//
// +kubebuilder:validation:Enum=TerminationMessage;ScrapyStats;ScrapyLog;None
type StatsOrigin string

const (
	// OriginTerminationMessage is a JSON termination message.
	OriginTerminationMessage StatsOrigin = "TerminationMessage"
	// OriginScrapyStats is the dump of stats that Scrapy writes into its log when it closes.
	OriginScrapyStats StatsOrigin = "ScrapyStats"
	// OriginScrapyLog is Scrapy's periodic progress line.
	OriginScrapyLog StatsOrigin = "ScrapyLog"
	// OriginNone means that no counts could be read.
	OriginNone StatsOrigin = "None"
)
