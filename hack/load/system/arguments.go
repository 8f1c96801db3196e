package system

import (
	"strings"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// ArgumentBytes is the size of each job's arguments, names and values.
const ArgumentBytes = 200

// Arguments are those of every SpiderJob.
func Arguments() map[string]v1alpha1.ArgumentValue {
	const name = "start_url"
	value := "https://example.com/" + strings.Repeat("x", ArgumentBytes)
	return map[string]v1alpha1.ArgumentValue{name: v1alpha1.ArgumentValue(value[:ArgumentBytes-len(name)])}
}
