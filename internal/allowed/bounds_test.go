package allowed

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	"github.com/scrapethis/spider-operator/internal/cron"
	"github.com/scrapethis/spider-operator/internal/order"
)

const (
	definitionsFolder = "../../config/crd/bases"
	contractFile      = "../../apiserver/openapi.yaml"
)

// itsOwn is the bound of a field that nothing but its schema knows.
const itsOwn = "its own"

// argumentNames and settingNames are the rules of the definitions on names, which are keys and so have no schema.
var (
	argumentNames = fmt.Sprintf("self.all(name, size(name) <= %d && name.matches('%s'))",
		MaxArgumentName, strings.ReplaceAll(ArgumentName.String(), `\`, `\\`))
	settingNames = fmt.Sprintf("self.all(name, name.matches('%s'))", SettingName)
)

// inDefinitions are all bounds of what a spec or status holds, but for the options of Pods.
var inDefinitions = with(map[string]any{
	"APIKey.spec.description maxLength": itsOwn,
	"APIKey.spec.hash pattern":          itsOwn,
	"APIKey.spec.keyID pattern":         itsOwn,
	"APIKey.spec.userID maxLength":      itsOwn,
	"APIKey.spec.userID pattern":        itsOwn,

	"SpiderJob.spec.arguments maxProperties":                 MaxArguments,
	"SpiderJob.spec.arguments rule":                          argumentNames,
	"SpiderJob.spec.arguments{} maxLength":                   MaxArgumentsBytes,
	"SpiderJob.spec.arguments{} pattern":                     noNUL,
	"SpiderJob.spec.cancellation.gracePeriodSeconds maximum": MaxGraceSeconds,
	"SpiderJob.spec.cancellation.requestedBy maxLength":      itsOwn,
	"SpiderJob.spec.maxWaitSeconds maximum":                  MaxWaitSeconds,
	"SpiderJob.spec.priority maximum":                        order.MaxPriority,
	"SpiderJob.spec.retries maximum":                         MaxRetries,
	"SpiderJob.spec.settings maxProperties":                  MaxSettings,
	"SpiderJob.spec.settings rule":                           settingNames,
	"SpiderJob.spec.settings{} maxLength":                    MaxSettingValue,
	"SpiderJob.spec.settings{} pattern":                      noNUL,
	"SpiderJob.spec.spiderRef.name maxLength":                itsOwn,
	"SpiderJob.spec.spiderRef.name pattern":                  itsOwn,
	"SpiderJob.spec.startDeadlineSeconds maximum":            MaxStartDeadlineSeconds,
	"SpiderJob.spec.timeoutSeconds maximum":                  MaxTimeoutSeconds,
	"SpiderJob.spec.ttlSecondsAfterFinished maximum":         MaxTTLSeconds,
	"SpiderJob.spec.userID maxLength":                        itsOwn,
	"SpiderJob.spec.userID pattern":                          itsOwn,

	"SpiderSchedule.spec rule":                            itsOwn,
	"SpiderSchedule.spec.arguments maxProperties":         MaxArguments,
	"SpiderSchedule.spec.arguments rule":                  argumentNames,
	"SpiderSchedule.spec.arguments{} maxLength":           MaxArgumentsBytes,
	"SpiderSchedule.spec.arguments{} pattern":             noNUL,
	"SpiderSchedule.spec.catchUp.windowSeconds maximum":   MaxCatchUpSeconds,
	"SpiderSchedule.spec.cron maxLength":                  cron.MaxExpression,
	"SpiderSchedule.spec.description maxLength":           MaxDescription,
	"SpiderSchedule.spec.displayName maxLength":           MaxDisplayName,
	"SpiderSchedule.spec.jitterSeconds maximum":           MaxJitterSeconds,
	"SpiderSchedule.spec.pauseAfterFailures maximum":      MaxPauseAfterFailures,
	"SpiderSchedule.spec.priority maximum":                order.MaxPriority,
	"SpiderSchedule.spec.retries maximum":                 MaxRetries,
	"SpiderSchedule.spec.scheduledTimeArgument maxLength": MaxArgumentName,
	"SpiderSchedule.spec.scheduledTimeArgument pattern":   itsOwn,
	"SpiderSchedule.spec.settings maxProperties":          MaxSettings,
	"SpiderSchedule.spec.settings rule":                   settingNames,
	"SpiderSchedule.spec.settings{} maxLength":            MaxSettingValue,
	"SpiderSchedule.spec.settings{} pattern":              noNUL,
	"SpiderSchedule.spec.spiderRef.name maxLength":        itsOwn,
	"SpiderSchedule.spec.spiderRef.name pattern":          itsOwn,
	"SpiderSchedule.spec.startDeadlineSeconds maximum":    MaxStartDeadlineSeconds,
	"SpiderSchedule.spec.timeZone maxLength":              cron.MaxZone,
	"SpiderSchedule.spec.timeoutSeconds maximum":          MaxTimeoutSeconds,
	"SpiderSchedule.spec.ttlSecondsAfterFinished maximum": MaxTTLSeconds,
	"SpiderSchedule.spec.userID maxLength":                itsOwn,
	"SpiderSchedule.spec.userID pattern":                  itsOwn,
	"SpiderSchedule.status.active maxItems":               MaxActiveRuns,
	"SpiderSchedule.status.active[] maxLength":            itsOwn,
	"SpiderSchedule.status.lastJob.name maxLength":        itsOwn,
	"SpiderSchedule.status.timing maxLength":              itsOwn,

	"SpiderQuota.spec.defaultGroupMax maximum":    itsOwn,
	"SpiderQuota.spec.groups maxItems":            itsOwn,
	"SpiderQuota.spec.groups[].max maximum":       itsOwn,
	"SpiderQuota.spec.groups[].name maxLength":    itsOwn,
	"SpiderQuota.spec.groups[].name pattern":      itsOwn,
	"SpiderQuota.spec.maxPriority maximum":        order.MaxPriority,
	"SpiderQuota.spec.maxQueued maximum":          itsOwn,
	"SpiderQuota.spec.maxQueuedPerUser maximum":   itsOwn,
	"SpiderQuota.spec.maxRunning maximum":         itsOwn,
	"SpiderQuota.spec.maxRunningPerUser maximum":  itsOwn,
	"SpiderQuota.spec.weights maxItems":           itsOwn,
	"SpiderQuota.spec.weights[].userID maxLength": itsOwn,
	"SpiderQuota.spec.weights[].userID pattern":   itsOwn,
	"SpiderQuota.spec.weights[].weight maximum":   itsOwn,

	"SpiderJob.status.comparisonKey maxLength":             MaxComparisonKey,
	"SpiderJob.status.duration maxLength":                  itsOwn,
	"SpiderJob.status.earlierStats.finishReason maxLength": MaxFinishReason,
	"SpiderJob.status.id maxLength":                        itsOwn,
	"SpiderJob.status.jobUID maxLength":                    itsOwn,
	"SpiderJob.status.message maxLength":                   MaxMessage,
	"SpiderJob.status.podName maxLength":                   itsOwn,
	"SpiderJob.status.podUID maxLength":                    itsOwn,
	"SpiderJob.status.reason maxLength":                    MaxReason,
	"SpiderJob.status.spider.image maxLength":              MaxImage,
	"SpiderJob.status.spider.imageID maxLength":            MaxImageID,
	"SpiderJob.status.spider.name maxLength":               MaxSpiderName,
	"SpiderJob.status.spider.repoPath maxLength":           MaxRepoPath,
	"SpiderJob.status.stats.finishReason maxLength":        MaxFinishReason,
	"SpiderJob.status.stop.jobUID maxLength":               itsOwn,
	"SpiderJob.status.stop.message maxLength":              MaxMessage,
	"SpiderJob.status.stop.reason maxLength":               MaxReason,
	"SpiderJob.status.ttlSecondsAfterFinished maximum":     MaxTTLSeconds,
	"SpiderJob.status.violations maxItems":                 MaxViolations,
	"SpiderJob.status.violations[].actual maxLength":       MaxViolationText,
	"SpiderJob.status.violations[].expected maxLength":     MaxViolationText,
	"SpiderJob.status.violations[].rule maxLength":         itsOwn,

	"Spider.spec rule":                                  itsOwn,
	"Spider.spec.tags maxItems":                         MaxTags,
	"Spider.spec.tags[] maxLength":                      maxTag,
	"Spider.spec.tags[] pattern":                        Tag.String(),
	"SpiderSchedule.spec.tags maxItems":                 MaxTags,
	"SpiderSchedule.spec.tags[] maxLength":              maxTag,
	"SpiderSchedule.spec.tags[] pattern":                Tag.String(),
	"Spider.spec.allowedSettings maxItems":              MaxSettings,
	"Spider.spec.allowedSettings[] maxLength":           MaxSettingName,
	"Spider.spec.allowedSettings[] pattern":             SettingName.String(),
	"Spider.spec.command maxItems":                      itsOwn,
	"Spider.spec.command[] maxLength":                   itsOwn,
	"Spider.spec.command[] pattern":                     noNUL,
	"Spider.spec.concurrency.group maxLength":           itsOwn,
	"Spider.spec.concurrency.group pattern":             itsOwn,
	"Spider.spec.concurrency.max maximum":               itsOwn,
	"Spider.spec.description maxLength":                 MaxDescription,
	"Spider.spec.errorFinishReasons maxItems":           MaxFinishReasons,
	"Spider.spec.errorFinishReasons[] maxLength":        MaxFinishReason,
	"Spider.spec.exitPatienceSeconds maximum":           itsOwn,
	"Spider.spec.image maxLength":                       MaxImage,
	"Spider.spec.imagePullSecrets maxItems":             itsOwn,
	"Spider.spec.maxInterruptions maximum":              itsOwn,
	"Spider.spec.name maxLength":                        MaxSpiderName,
	"Spider.spec.name pattern":                          SpiderName.String(),
	"Spider.spec.name rule":                             "self.trim() != ''",
	"Spider.spec.podRetentionSeconds maximum":           itsOwn,
	"Spider.spec.queueName maxLength":                   itsOwn,
	"Spider.spec.queueName pattern":                     itsOwn,
	"Spider.spec.repoPath maxLength":                    MaxRepoPath,
	"Spider.spec.repoPath pattern":                      RepoPath.String(),
	"Spider.spec.repoPath rule":                         "!self.split('/').exists(part, part == '..')",
	"Spider.spec.retries maximum":                       MaxRetries,
	"Spider.spec.settings maxProperties":                MaxSettings,
	"Spider.spec.settings rule":                         settingNames,
	"Spider.spec.settings{} maxLength":                  MaxSettingValue,
	"Spider.spec.settings{} pattern":                    noNUL,
	"Spider.spec.startDeadlineSeconds maximum":          MaxStartDeadlineSeconds,
	"Spider.spec.terminationGracePeriodSeconds maximum": MaxGraceSeconds,
	"Spider.spec.timeoutSeconds maximum":                MaxTimeoutSeconds,
	"Spider.spec.ttlSecondsAfterFinished maximum":       MaxTTLSeconds,
	"Spider.spec.userID maxLength":                      itsOwn,
	"Spider.spec.userID pattern":                        itsOwn,
},
	under("SpiderJob.spec.expectations", expectations), under("Spider.spec.expectations", expectations),
	map[string]any{
		"SpiderJob.spec.expectations rule": itsOwn,
		"Spider.spec.expectations rule":    itsOwn,
	})

// noNUL is what no command line can hold.
const noNUL = `^[^\x00]*$`

// expectations are the bounds of rules, as the definitions name them.
var expectations = map[string]any{
	".comparedToPrevious.minItemsPercent maximum": MaxPreviousPercent,
	".comparedToPrevious.runs maximum":            MaxPreviousRuns,
	".feedFailures maximum":                       MaxCount,
	".finishReasons maxItems":                     MaxFinishReasons,
	".finishReasons[] maxLength":                  MaxFinishReason,
	".maxDurationSeconds maximum":                 MaxExpectedSeconds,
	".maxErrors maximum":                          MaxCount,
	".maxFailedResponsePercent maximum":           MaxPercent,
	".minItems maximum":                           MaxCount,
	".noProgressSeconds maximum":                  MaxExpectedSeconds,
	".noProgressSeconds minimum":                  MinNoProgressSeconds,
}

// inContract are all bounds of what a request holds, by the name of its operation.
var inContract = map[string]any{
	"cancelJob.grace_period_seconds maximum": MaxGraceSeconds,
	"getJob.wait maxLength":                  itsOwn,
	"getJob.wait pattern":                    itsOwn,
	"getJobLogs.Last-Event-ID maxLength":     itsOwn,
	"getJobLogs.since maxLength":             itsOwn,
	"getJobLogs.tail maximum":                itsOwn,
	"listJobs.cursor maxLength":              itsOwn,
	"listJobs.limit maximum":                 itsOwn,
	"listJobs.spider_name maxLength":         MaxSpiderName,
	"listJobs.tag maxItems":                  MaxTags,
	"listJobs.tag[] pattern":                 Tag.String(),
	"listJobs.lacks_tag pattern":             Tag.String(),
	"listSchedules.cursor maxLength":         itsOwn,
	"listSchedules.limit maximum":            itsOwn,
	"listSpiders.cursor maxLength":           itsOwn,
	"listSpiders.limit maximum":              itsOwn,
	"listSpiders.name maxLength":             MaxSpiderName,

	"startJob.Idempotency-Key maxLength":                                   itsOwn,
	"startJob.Idempotency-Key pattern":                                     itsOwn,
	"startJob.arguments maxProperties":                                     MaxArguments,
	"startJob.settings maxProperties":                                      MaxSettings,
	"startJob.timeout_seconds maximum":                                     MaxTimeoutSeconds,
	"startJob.start_deadline_seconds maximum":                              MaxStartDeadlineSeconds,
	"startJob.retries maximum":                                             MaxRetries,
	"startJob.expectations.compared_to_previous.min_items_percent maximum": MaxPreviousPercent,
	"startJob.expectations.compared_to_previous.runs maximum":              MaxPreviousRuns,
	"startJob.expectations.feed_failures maximum":                          MaxCount,
	"startJob.expectations.finish_reasons maxItems":                        MaxFinishReasons,
	"startJob.expectations.finish_reasons[] maxLength":                     MaxFinishReason,
	"startJob.expectations.max_duration_seconds maximum":                   MaxExpectedSeconds,
	"startJob.expectations.max_errors maximum":                             MaxCount,
	"startJob.expectations.max_failed_response_percent maximum":            MaxPercent,
	"startJob.expectations.min_items maximum":                              MaxCount,
	"startJob.expectations.no_progress_seconds maximum":                    MaxExpectedSeconds,
	"startJob.expectations.no_progress_seconds minimum":                    MinNoProgressSeconds,

	"rerunJob.Idempotency-Key maxLength": itsOwn,
	"rerunJob.Idempotency-Key pattern":   itsOwn,

	"startJob.max_wait_seconds maximum": MaxWaitSeconds,
	"startJob.priority maximum":         order.MaxPriority,
	"changeJob.priority maximum":        order.MaxPriority,
	"createSchedule.priority maximum":   order.MaxPriority,
	"changeSchedule.priority maximum":   order.MaxPriority,

	"startJob.tags maxItems":   MaxTags,
	"startJob.tags[] pattern":  Tag.String(),
	"startJob.note maxLength":  MaxNoteBytes,
	"changeJob.tags maxItems":  MaxTags,
	"changeJob.tags[] pattern": Tag.String(),
	"changeJob.note maxLength": MaxNoteBytes,

	"createSpider.tags maxItems":                       MaxTags,
	"createSpider.tags[] pattern":                      Tag.String(),
	"changeSpider.tags maxItems":                       MaxTags,
	"changeSpider.tags[] pattern":                      Tag.String(),
	"backfillSchedule.limit maximum":                   itsOwn,
	"previewSchedule.cron_expression maxLength":        cron.MaxExpression,
	"previewSchedule.n maximum":                        itsOwn,
	"previewSchedule.timezone maxLength":               cron.MaxZone,
	"runSchedule.Idempotency-Key maxLength":            itsOwn,
	"runSchedule.Idempotency-Key pattern":              itsOwn,
	"createSchedule.arguments maxProperties":           MaxArguments,
	"createSchedule.catch_up.window_seconds maximum":   MaxCatchUpSeconds,
	"createSchedule.cron_expression maxLength":         cron.MaxExpression,
	"createSchedule.description maxLength":             MaxDescription,
	"createSchedule.jitter_seconds maximum":            MaxJitterSeconds,
	"createSchedule.name maxLength":                    MaxDisplayName,
	"createSchedule.pause_after_failures maximum":      MaxPauseAfterFailures,
	"createSchedule.retries maximum":                   MaxRetries,
	"createSchedule.scheduled_time_argument maxLength": MaxArgumentName,
	"createSchedule.settings maxProperties":            MaxSettings,
	"createSchedule.start_deadline_seconds maximum":    MaxStartDeadlineSeconds,
	"createSchedule.timeout_seconds maximum":           MaxTimeoutSeconds,
	"createSchedule.timezone maxLength":                cron.MaxZone,
	"createSchedule.tags maxItems":                     MaxTags,
	"createSchedule.tags[] pattern":                    Tag.String(),
	"changeSchedule.tags maxItems":                     MaxTags,
	"changeSchedule.tags[] pattern":                    Tag.String(),
	"changeSchedule.arguments maxProperties":           MaxArguments,
	"changeSchedule.catch_up.window_seconds maximum":   MaxCatchUpSeconds,
	"changeSchedule.cron_expression maxLength":         cron.MaxExpression,
	"changeSchedule.description maxLength":             MaxDescription,
	"changeSchedule.jitter_seconds maximum":            MaxJitterSeconds,
	"changeSchedule.name maxLength":                    MaxDisplayName,
	"changeSchedule.pause_after_failures maximum":      MaxPauseAfterFailures,
	"changeSchedule.retries maximum":                   MaxRetries,
	"changeSchedule.scheduled_time_argument maxLength": MaxArgumentName,
	"changeSchedule.settings maxProperties":            MaxSettings,
	"changeSchedule.start_deadline_seconds maximum":    MaxStartDeadlineSeconds,
	"changeSchedule.timeout_seconds maximum":           MaxTimeoutSeconds,
	"changeSchedule.timezone maxLength":                cron.MaxZone,

	"createSpider.name maxLength":         MaxSpiderName,
	"createSpider.name pattern":           SpiderName.String(),
	"createSpider.repo_path maxLength":    MaxRepoPath,
	"createSpider.description maxLength":  MaxDescription,
	"createSpider.settings maxProperties": MaxSettings,
	"changeSpider.name maxLength":         MaxSpiderName,
	"changeSpider.name pattern":           SpiderName.String(),
	"changeSpider.repo_path maxLength":    MaxRepoPath,
	"changeSpider.description maxLength":  MaxDescription,
	"changeSpider.settings maxProperties": MaxSettings,
}

func with(all ...map[string]any) map[string]any {
	result := map[string]any{}
	for _, some := range all {
		maps.Copy(result, some)
	}
	return result
}

func under(prefix string, bounds map[string]any) map[string]any {
	result := map[string]any{}
	for place, bound := range bounds {
		result[prefix+place] = bound
	}
	return result
}

// TestBoundsAreTheSameEverywhere compares the constants with the definitions and the contract. It knows every bound of both, so
// that neither can come to have one of which the other and the code know nothing.
func TestBoundsAreTheSameEverywhere(t *testing.T) {
	t.Run("definitions", func(t *testing.T) { compare(t, boundsOfDefinitions(t), inDefinitions) })
	t.Run("contract", func(t *testing.T) { compare(t, boundsOfContract(t), inContract) })
	for text, bound := range map[string]int{SettingName.String(): MaxSettingName - 1, Tag.String(): maxTag - 2} {
		if !strings.Contains(text, fmt.Sprintf("{0,%d}", bound)) {
			t.Errorf("%s does not have %d repeated characters", text, bound)
		}
	}
}

func compare(t *testing.T, found, want map[string]any) {
	t.Helper()
	for _, place := range slices.Sorted(maps.Keys(with(found, want))) {
		has, isThere := found[place]
		bound, known := want[place]
		switch {
		case !known:
			t.Errorf("%s is %v: say by which constant the code knows it, or that it does not", place, has)
		case !isThere:
			t.Errorf("%s is not there, want %v", place, bound)
		case bound != itsOwn && fmt.Sprint(has) != fmt.Sprint(bound):
			t.Errorf("%s is %v, want %v", place, has, bound)
		}
	}
}

// boundsOfDefinitions are the bounds in specs and statuses.
func boundsOfDefinitions(t *testing.T) map[string]any {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(definitionsFolder, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("definitions %v, %v", files, err)
	}
	found := map[string]any{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var definition apiextensionsv1.CustomResourceDefinition
		if err := yaml.UnmarshalStrict(text, &definition); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		object := definition.Spec.Versions[0].Schema.OpenAPIV3Schema
		for _, part := range []string{"spec", "status"} {
			if schema, has := object.Properties[part]; has {
				delete(schema.Properties, "pod")
				delete(schema.Properties, "conditions")
				definitionBounds(found, definition.Spec.Names.Kind+"."+part, &schema)
			}
		}
	}
	return found
}

func definitionBounds(found map[string]any, path string, schema *apiextensionsv1.JSONSchemaProps) {
	note(found, path, "maxLength", schema.MaxLength)
	note(found, path, "maxItems", schema.MaxItems)
	note(found, path, "maxProperties", schema.MaxProperties)
	if schema.Maximum != nil {
		found[path+" maximum"] = int64(*schema.Maximum)
	}
	if schema.Minimum != nil && *schema.Minimum > 1 {
		found[path+" minimum"] = int64(*schema.Minimum)
	}
	if schema.Pattern != "" {
		found[path+" pattern"] = schema.Pattern
	}
	for _, rule := range schema.XValidations {
		if !strings.Contains(rule.Rule, "oldSelf") { // Those are about changes.
			found[path+" rule"] = rule.Rule
		}
	}
	for name := range schema.Properties {
		property := schema.Properties[name]
		definitionBounds(found, path+"."+name, &property)
	}
	if schema.Items != nil {
		definitionBounds(found, path+"[]", schema.Items.Schema)
	}
	if schema.AdditionalProperties != nil && schema.AdditionalProperties.Schema != nil {
		definitionBounds(found, path+"{}", schema.AdditionalProperties.Schema)
	}
}

func note[T int64 | uint64](found map[string]any, path, keyword string, bound *T) {
	if bound != nil {
		found[path+" "+keyword] = *bound
	}
}

// boundsOfContract are the bounds in what operations are given.
func boundsOfContract(t *testing.T) map[string]any {
	t.Helper()
	document, err := openapi3.NewLoader().LoadFromFile(contractFile)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]any{}
	for path, item := range document.Paths.Map() {
		for method, operation := range item.Operations() {
			if operation.OperationID == "" {
				t.Fatalf("%s %s has no name", method, path)
			}
			for _, parameter := range slices.Concat(item.Parameters, operation.Parameters) {
				contractBounds(found, operation.OperationID+"."+parameter.Value.Name, parameter.Value.Schema.Value)
			}
			if operation.RequestBody == nil {
				continue
			}
			for _, content := range operation.RequestBody.Value.Content {
				contractBounds(found, operation.OperationID, content.Schema.Value)
			}
		}
	}
	return found
}

func contractBounds(found map[string]any, path string, schema *openapi3.Schema) {
	note(found, path, "maxLength", schema.MaxLength)
	note(found, path, "maxItems", schema.MaxItems)
	note(found, path, "maxProperties", schema.MaxProps)
	if schema.Max != nil {
		found[path+" maximum"] = int64(*schema.Max)
	}
	if schema.Min != nil && *schema.Min > 1 {
		found[path+" minimum"] = int64(*schema.Min)
	}
	if schema.Pattern != "" {
		found[path+" pattern"] = schema.Pattern
	}
	for name, property := range schema.Properties {
		contractBounds(found, path+"."+name, property.Value)
	}
	if schema.Items != nil {
		contractBounds(found, path+"[]", schema.Items.Value)
	}
	if schema.AdditionalProperties.Schema != nil {
		contractBounds(found, path+"{}", schema.AdditionalProperties.Schema.Value)
	}
}
