package client

// The codes of errors that are known today: the contract explains each. Others may come; take one that you do not know for what the
// status says.
const (
	CodeInvalidRequest       ErrorCode = "invalid_request"
	CodeMalformedBody        ErrorCode = "malformed_body"
	CodeUnauthorized         ErrorCode = "unauthorized"
	CodeAccessDenied         ErrorCode = "access_denied"
	CodeSpidersReadOnly      ErrorCode = "spiders_read_only"
	CodeNotYours             ErrorCode = "not_yours"
	CodeQuotaExceeded        ErrorCode = "quota_exceeded"
	CodeNamespaceTerminating ErrorCode = "namespace_terminating"
	CodeForbidden            ErrorCode = "forbidden"
	CodeNotFound             ErrorCode = "not_found"
	CodeMethodNotAllowed     ErrorCode = "method_not_allowed"
	CodeJobEnded             ErrorCode = "job_ended"
	CodeGracePeriodLonger    ErrorCode = "grace_period_longer"
	CodeAmbiguousSpider      ErrorCode = "ambiguous_spider"
	CodeIdempotencyConflict  ErrorCode = "idempotency_conflict"
	CodeSpiderExists         ErrorCode = "spider_exists"
	CodeChanging             ErrorCode = "changing"
	CodeNotStarted           ErrorCode = "not_started"
	CodeLogGone              ErrorCode = "log_gone"
	CodePreconditionFailed   ErrorCode = "precondition_failed"
	CodeBodyTooLarge         ErrorCode = "body_too_large"
	CodeURITooLong           ErrorCode = "uri_too_long"
	CodeUnsupportedMediaType ErrorCode = "unsupported_media_type"
	CodeTooManyRequests      ErrorCode = "too_many_requests"
	CodeTooManyStreams       ErrorCode = "too_many_streams"
	CodeCancelFailed         ErrorCode = "cancel_failed"
	CodeInternal             ErrorCode = "internal"
	CodeUnavailable          ErrorCode = "unavailable"
)
