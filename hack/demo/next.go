package main

import (
	"fmt"
	"net/url"
	"strings"
)

// whatNext tells what to try once the demo has finished.
func (d *demo) whatNext() string {
	prepare := `eval "$(make env)"`
	end := "make down                                 # stop the cluster, and leave no trace of it"
	if d.cluster == current {
		prepare += fmt.Sprintf("\n  kubectl port-forward -n %s svc/%s %s:80 &", operatorNamespace, apiService, port(d.access.URL))
		end = fmt.Sprintf("helm uninstall -n %s %s && kubectl delete namespace %s %s", operatorNamespace, release, demoNamespace,
			operatorNamespace)
	}
	return strings.NewReplacer("PREPARE", prepare, "END", end).Replace(`
All of it keeps running. Try next:
  PREPARE
  api() { curl -sSH "Authorization: Bearer $SPIDER_API_KEY" -H 'Content-Type: application/json' $SPIDER_API_URL/api/v1/"$@"; }
  api jobs -d '{"spider_name": "category", "arguments": {"category": "Travel"}}'
  api jobs -d '{"spider_name": "slow"}'     # then cancel it: api jobs/<jobId> -X DELETE
  api jobs -d '{"spider_name": "broken"}'   # a failure, and what is said of it: api jobs/<jobId>
  api jobs                                  # the newest first
  kubectl -n demo get spiders,spiderjobs    # the same jobs, as Kubernetes sees them
  END
`)
}

func port(address string) string {
	parsed, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return parsed.Port()
}
