package manifests

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// TestWrongValuesAreRefused checks that a wrong value is refused by its path.
func TestWrongValuesAreRefused(t *testing.T) {
	tests := []struct{ set, names string }{
		{"controler.workers=3", "controler"},
		{"controller.worker=3", "worker"},
		{"config.controller.worker=3", "worker"},
		{"config.api.rate=3", "api"},
		{"controller.workers=0", "/controller/workers"},
		{"config.controller.workers=0", "/config/controller/workers"},
		{"controller.workers=many", "/controller/workers"},
		{"config.controller.workers=many", "/config/controller/workers"},
		{"controller.ttl=7d", "/controller/ttl"},
		{"config.controller.ttl=7d", "/config/controller/ttl"},
		{"controller.logBudget=0", "/controller/logBudget"},
		{"config.controller.logBudget=0", "/config/controller/logBudget"},
		{"controller.spiderPods.security=privileged", "/controller/spiderPods/security"},
		{"config.controller.spiderPods.security=privileged", "/config/controller/spiderPods/security"},
		{"controller.spiderPods.imagePullSecrets={registry}", "/controller/spiderPods/imagePullSecrets/0"},
		{"controller.spiderPods.nodeSelector.pool=a b", "/controller/spiderPods/nodeSelector/pool"},
		{"controller.spiderPods.nodeSelector.a/b/c=d", "/controller/spiderPods/nodeSelector"},
		{"controller.spiderPods.labels.team=data\\,cost=1", "/controller/spiderPods/labels/team"},
		{`controller.spiderPods.labels.scrapethis\.app/spiderjob=a`, "/controller/spiderPods/labels"},
		{`controller.spiderPods.labels.batch\.kubernetes\.io/job-name=a`, "/controller/spiderPods/labels"},
		{"controller.spiderPods.tolerations[0].effects=NoSchedule", "/controller/spiderPods/tolerations/0"},
		{"controller.spiderPods.tmpSize=lots", "/controller/spiderPods/tmpSize"},
		{"controller.replicas=2,controller.leaderElection.enabled=false", "/controller/leaderElection/enabled"},
		{"image.digest=sha256:123", "/image/digest"},
		{"image.repository=", "/image/repository"},
		{"watchNamespaces={a,b,a}", "/watchNamespaces"},
		{"watchNamespaces={Not_A_Namespace}", "/watchNamespaces/0"},
		{"apiserver.kubernetesTokens.audience=", "/apiserver/kubernetesTokens/audience"},
		{"apiserver.tls.secret=a", "secret"},
		{"apiserver.tls.certificate.enabled=true", "/apiserver/tls/certificate/issuerRef"},
		{"tests.spider=books", "/tests/apiKeySecret"},
		{"apiserver.timeouts.read=0s", "/apiserver/timeouts/read"},
		{"config.apiserver.timeouts.read=0s", "/config/apiserver/timeouts/read"},
		{"apiserver.timeouts.idle=0", "/apiserver/timeouts/idle"},
		{"apiserver.maxConnections=0", "/apiserver/maxConnections"},
		{"apiserver.maxConnectionsPerAddress=0", "/apiserver/maxConnectionsPerAddress"},
		{"apiserver.namespaceRate=0", "/apiserver/namespaceRate"},
		{"config.apiserver.namespaceRate=0", "/config/apiserver/namespaceRate"},
		{"apiserver.restSpiders=off", "/apiserver/restSpiders"},
		{"apiserver.autoscaling.targetCPU=much", "/apiserver/autoscaling/targetCPU"},
		{"apiserver.service.externalTrafficPolicy=Here", "/apiserver/service/externalTrafficPolicy"},
		{"apiserver.service.loadBalancerSourceRanges={192.0.2.1}", "/apiserver/service/loadBalancerSourceRanges/0"},
		{"apiserver.service.type=ExternalName", "/apiserver/service/type"},
		{"apiserver.service.port=70000", "/apiserver/service/port"},
		{"apiserver.maxStreams=0", "/apiserver/maxStreams"},
		{"config.apiserver.maxStreams=0", "/config/apiserver/maxStreams"},
		{"metrics.prometheusRule.thresholds.pendingMinutes=15", "pendingMinutes"},
		{"metrics.prometheusRule.thresholds.errorRatio=25", "/metrics/prometheusRule/thresholds/errorRatio"},
		{"metrics.prometheusRule.thresholds.notLeadingFor=120", "/metrics/prometheusRule/thresholds/notLeadingFor"},
		{"spiderNetworkPolicy.enabled=true,watchNamespaces={a}", "/spiderNetworkPolicy/clusterCIDRs"},
		{"spiderNetworkPolicy.enabled=true,spiderNetworkPolicy.clusterCIDRs={10.0.0.0/8}", "spiderNetworkPolicy.namespaces"},
		{"spiderNetworkPolicy.clusterCIDRs={10.0.0.1}", "/spiderNetworkPolicy/clusterCIDRs/0"},
		{"spiderNetworkPolicy.namespaces={Shop}", "/spiderNetworkPolicy/namespaces/0"},
		{"apiserver.podDisruptionBudget.minAvailable=half", "/apiserver/podDisruptionBudget/minAvailable"},
	}
	for _, test := range tests {
		t.Run(test.set, func(t *testing.T) {
			_, err := template(t, "--set", test.set)
			if err == nil {
				t.Fatal("was accepted")
			}
			if !strings.Contains(err.Error(), test.names) {
				t.Errorf("the refusal does not name %s: %v", test.names, err)
			}
		})
	}
}

// schemaNode is as much of a JSON schema as is needed to walk it.
type schemaNode struct {
	Ref         string                `json:"$ref"`
	Properties  map[string]schemaNode `json:"properties"`
	Definitions map[string]schemaNode `json:"definitions"`
	Deprecated  bool                  `json:"deprecated"`
	// Type, Minimum and Above say which numbers are valid.
	Type    string   `json:"type"`
	Minimum *float64 `json:"minimum"`
	Above   *float64 `json:"exclusiveMinimum"`
}

// TestSchemaAndValuesAgree checks that the schema has every value in values.yaml, and values.yaml every value of the schema.
func TestSchemaAndValuesAgree(t *testing.T) {
	var schema schemaNode
	var values map[string]any
	readInto(t, "values.schema.json", json.Unmarshal, &schema)
	readInto(t, "values.yaml", func(text []byte, into any) error { return yaml.UnmarshalStrict(text, into) }, &values)

	var walk func(path string, node schemaNode, value any)
	walk = func(path string, node schemaNode, value any) {
		if name, found := strings.CutPrefix(node.Ref, "#/definitions/"); found {
			node = schema.Definitions[name]
		}
		object, isObject := value.(map[string]any)
		if len(node.Properties) == 0 || !isObject {
			return
		}
		for name, child := range object {
			if _, known := node.Properties[name]; !known {
				t.Errorf("values.schema.json does not know %s.%s", path, name)
				continue
			}
			walk(path+"."+name, node.Properties[name], child)
		}
		for name, child := range node.Properties {
			hidden := child.Deprecated || optional[path+"."+name] || strings.HasPrefix(path, ".config.")
			if _, shown := object[name]; !shown && !hidden {
				t.Errorf("values.yaml does not show %s.%s", path, name)
			}
		}
	}
	walk("", schema, values)
}

// optional are the values that are known, and by default absent.
var optional = map[string]bool{
	".global": true,
	".controller.livenessProbe.initialDelaySeconds":            true,
	".controller.livenessProbe.successThreshold":               true,
	".controller.livenessProbe.terminationGracePeriodSeconds":  true,
	".controller.readinessProbe.initialDelaySeconds":           true,
	".controller.readinessProbe.successThreshold":              true,
	".controller.readinessProbe.terminationGracePeriodSeconds": true,
	".apiserver.tls.certificate.issuerRef.name":                true,
	".apiserver.tls.certificate.issuerRef.kind":                true,
	".apiserver.tls.certificate.issuerRef.group":               true,
	".apiserver.livenessProbe.initialDelaySeconds":             true,
	".apiserver.livenessProbe.successThreshold":                true,
	".apiserver.livenessProbe.terminationGracePeriodSeconds":   true,
	".apiserver.readinessProbe.initialDelaySeconds":            true,
	".apiserver.readinessProbe.successThreshold":               true,
	".apiserver.readinessProbe.terminationGracePeriodSeconds":  true,
}

// TestReadmeShowsEveryValue checks that the README's table has a line for every value, with its default and a description.
func TestReadmeShowsEveryValue(t *testing.T) {
	var values map[string]any
	readInto(t, "values.yaml", func(text []byte, into any) error { return yaml.UnmarshalStrict(text, into) }, &values)
	rows := readmeRows(t)

	var walk func(path string, value any)
	walk = func(path string, value any) {
		if row, shown := rows[path]; shown {
			delete(rows, path)
			if want := strings.ReplaceAll(toJSON(t, value), "null", "nil"); row.standard != "`"+want+"`" {
				t.Errorf("README.md shows %s as the default of %s, values.yaml has %s", row.standard, path, want)
			}
			if row.description == "" {
				t.Errorf("README.md does not describe %s", path)
			}
			return
		}
		object, isObject := value.(map[string]any)
		if !isObject {
			t.Errorf("README.md does not show %s", path)
			return
		}
		for name, child := range object {
			walk(strings.TrimPrefix(path+"."+name, "."), child)
		}
	}
	walk("", values)
	for path := range rows {
		t.Errorf("README.md shows %s, which values.yaml does not have", path)
	}
	if t.Failed() {
		t.Log("to write it anew: helm-docs --chart-search-root charts/spider-operator --sort-values-order file")
	}
}

// readmeRow is a row of the README's table of values.
type readmeRow struct{ standard, description string }

func readmeRows(t *testing.T) map[string]readmeRow {
	t.Helper()
	readme, err := os.ReadFile(filepath.Join(chartDir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(readme), "|-----|------|---------|-------------|\n")
	if !found {
		t.Fatal("README.md has no table of values")
	}
	rows := map[string]readmeRow{}
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 4 {
			t.Fatalf("README.md: not a row of the table of values: %s", line)
		}
		rows[strings.TrimSpace(cells[0])] = readmeRow{strings.TrimSpace(cells[2]), strings.TrimSpace(cells[3])}
	}
	return rows
}

func toJSON(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func readInto(t *testing.T, name string, unmarshal func([]byte, any) error, into any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(chartDir, name))
	if err != nil {
		t.Fatal(err)
	}
	if err := unmarshal(text, into); err != nil {
		t.Fatalf("reading %s: %v", name, err)
	}
}
