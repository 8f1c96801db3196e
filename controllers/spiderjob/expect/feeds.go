package expect

import "strings"

// remedies are what users can do about a failed feed, by the words of the error: those of the operating system, of botocore, of
// google-cloud-storage and of Scrapy. The first match applies.
var remedies = []struct {
	words  []string
	remedy string
}{
	{
		[]string{"permission denied", "read-only file system", "errno 13]", "errno 30]", "operation not permitted"},
		"let the feed go to /tmp, to a volume (pod.volumes) or to an address that is no file: the process is not root, " +
			"and may not write there",
	},
	{
		[]string{"no space left", "errno 28]", "disk quota"},
		"give it more room: pod.resources' ephemeral-storage, or a volume",
	},
	{
		[]string{"no such file or directory", "errno 2]", "not a directory", "is a directory"},
		"name an existing directory, or mount a volume there (pod.volumeMounts)",
	},
	{
		[]string{"credential", "accessdenied", "access denied", "forbidden", "signaturedoesnotmatch", "invalidaccesskeyid", "403"},
		"give it credentials that may write there (pod.envFrom)",
	},
	{
		[]string{
			"nosuchbucket",
			"could not connect",
			"endpointconnectionerror",
			"name or service not known",
			"connection refused",
			"timed out",
		},
		"make sure that the address is right and can be reached from the Pod",
	},
	{
		[]string{"no module named", "notconfigured", "not supported", "unknown feed"},
		"add the library that Scrapy needs for such an address to the image",
	},
}

// FeedRemedy says what to do about a feed that could not be written or delivered, given its error in the log.
func FeedRemedy(feedError string) string {
	text := strings.ToLower(feedError)
	for _, r := range remedies {
		for _, word := range r.words {
			if strings.Contains(text, word) {
				return r.remedy
			}
		}
	}
	if feedError == "" {
		return "the log says which feed and why"
	}
	return "make sure that the feed can be written there"
}
