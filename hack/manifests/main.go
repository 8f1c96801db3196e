// Command manifests renders the chart into config/, for those who install with kustomize. The kustomizations there are written by
// hand; the files that they name are these. `make manifests` runs it.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// The release that config/ installs is named and placed as the documentation has it.
const (
	release   = "spider-operator"
	namespace = "spider-operator-system"
	// tenant stands in for the namespace that spiders' NetworkPolicy is applied to.
	tenant = "tenant"
	// privateCIDRs are where the addresses of most clusters are.
	privateCIDRs = "{10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,100.64.0.0/10}"
)

// folder is a folder of config/, and how the chart makes what is in it.
type folder struct {
	name string
	// values are what the chart is given, as for Helm's --set.
	values []string
	// files are the files by what goes into them, which is all that this folder adds to config/default.
	files map[string]func(document) bool
	// args is a file for what else it changes: arguments of a process, as patches. Empty where it changes nothing.
	args string
}

var folders = []folder{
	{
		name: "default",
		files: map[string]func(document) bool{
			"controller.yaml": from("controller/"),
			"apiserver.yaml":  from("apiserver/"),
			"access.yaml":     from("access/"),
		},
	},
	{
		name: "monitoring",
		values: []string{
			"metrics.serviceMonitor.enabled=true", "metrics.prometheusRule.enabled=true", "metrics.dashboard.enabled=true",
		},
		files: map[string]func(document) bool{
			"service_monitors.yaml": of("ServiceMonitor"),
			"prometheus_rule.yaml":  of("PrometheusRule"),
			"dashboard.yaml":        of("ConfigMap"),
		},
	},
	{
		name:   "kubernetes-tokens",
		values: []string{"apiserver.kubernetesTokens.enabled=true"},
		files: map[string]func(document) bool{
			"role.yaml":    of("ClusterRole"),
			"binding.yaml": of("ClusterRoleBinding"),
		},
		args: "arguments.yaml",
	},
	{
		name: "spider-network-policy",
		values: []string{
			"spiderNetworkPolicy.enabled=true", "spiderNetworkPolicy.namespaces={" + tenant + "}",
			"spiderNetworkPolicy.clusterCIDRs=" + privateCIDRs,
		},
		files: map[string]func(document) bool{"network_policy.yaml": of("NetworkPolicy")},
	},
}

// document is an object that the chart makes.
type document struct {
	// template is the path of the template that made it, below the chart's templates/.
	template string
	text     string
	object
}

// object is what has to be read of it.
type object struct {
	Kind     string
	Metadata struct{ Name, Namespace string }
	Spec     struct {
		Template struct {
			Spec struct{ Containers []struct{ Args []string } }
		}
	}
}

func (d document) id() string { return d.Kind + " " + d.Metadata.Namespace + "/" + d.Metadata.Name }

// from selects what the templates below a folder make.
func from(templates string) func(document) bool {
	return func(d document) bool { return strings.HasPrefix(d.template, templates) }
}

// of selects a kind.
func of(kind string) func(document) bool {
	return func(d document) bool { return d.Kind == kind }
}

func main() {
	root := flag.String("root", "..", "the project's folder")
	helm := flag.String("helm", "helm", "Helm's program")
	flag.Parse()
	if err := run(*root, *helm); err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}

func run(root, helm string) error {
	chart := filepath.Join(root, "charts", "spider-operator")
	var standard []document
	for i, f := range folders {
		documents, err := render(helm, chart, f.values)
		if err != nil {
			return err
		}
		if i == 0 {
			standard = documents
		} else if documents, err = f.added(root, documents, standard); err != nil {
			return fmt.Errorf("config/%s: %w", f.name, err)
		}
		if err := f.write(root, documents); err != nil {
			return fmt.Errorf("config/%s: %w", f.name, err)
		}
	}
	return nil
}

// render returns what the chart makes of values, but for the definitions, which are in config/crd, and the tests of the release.
func render(helm, chart string, values []string) ([]document, error) {
	args := []string{"template", release, chart, "--namespace", namespace, "--skip-tests", "--set", "crds.enabled=false"}
	for _, value := range values {
		args = append(args, "--set", value)
	}
	command := exec.Command(helm, args...) //nolint:noctx // It ends by itself.
	var rendered, said bytes.Buffer
	command.Stdout, command.Stderr = &rendered, &said
	if err := command.Run(); err != nil {
		return nil, fmt.Errorf("helm %s: %w: %s", strings.Join(args, " "), err, said.String())
	}
	var documents []document
	for text := range strings.SplitSeq("\n"+rendered.String(), "\n---\n") {
		if strings.TrimSpace(text) == "" {
			continue
		}
		document, err := read(text)
		if err != nil {
			return nil, err
		}
		documents = append(documents, document)
	}
	if len(documents) == 0 {
		return nil, fmt.Errorf("helm %s made nothing", strings.Join(args, " "))
	}
	return documents, nil
}

// helmsOwn begins the lines that only Helm has a use for, or that change with every version.
var helmsOwn = []string{"helm.sh/chart:", "app.kubernetes.io/managed-by:", "app.kubernetes.io/version:", "namespace: " + tenant}

// read reads one document of Helm's output.
func read(text string) (document, error) {
	source, text, _ := strings.Cut(strings.TrimLeft(text, "\n"), "\n")
	_, template, found := strings.Cut(source, "/templates/")
	if !strings.HasPrefix(source, "# Source: ") || !found {
		return document{}, fmt.Errorf("helm template: %q does not name a template", source)
	}
	var kept []string
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		own := func(start string) bool { return strings.HasPrefix(strings.TrimSpace(line), start) }
		if !slices.ContainsFunc(helmsOwn, own) {
			kept = append(kept, strings.TrimRight(line, " "))
		}
	}
	d := document{template: template, text: strings.Join(kept, "\n") + "\n"}
	if err := yaml.Unmarshal([]byte(d.text), &d.object); err != nil {
		return document{}, fmt.Errorf("helm template: %s: %w", template, err)
	}
	return d, nil
}

// added returns what of documents is not standard. Of what is otherwise than there, it writes the arguments that were added.
func (f folder) added(root string, documents, standard []document) (added []document, err error) {
	var patches []patch
	for _, d := range documents {
		at := slices.IndexFunc(standard, func(s document) bool { return s.id() == d.id() })
		switch {
		case at < 0:
			added = append(added, d)
		case standard[at].text != d.text:
			p, err := patchArguments(standard[at], d)
			if err != nil {
				return nil, err
			}
			patches = append(patches, p...)
		}
	}
	if (f.args == "") != (len(patches) == 0) {
		return nil, fmt.Errorf("%d arguments are added to the processes, for which the file is %q", len(patches), f.args)
	}
	if f.args == "" {
		return added, nil
	}
	text, err := yaml.Marshal(patches)
	if err != nil {
		return nil, err
	}
	return added, write(root, f.name, f.args, string(text))
}

// patch is an operation of a JSON patch.
type patch struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value string `json:"value"`
}

// patchArguments returns what makes the arguments of the one Deployment those of the other, which may have further ones.
func patchArguments(before, after document) (patches []patch, err error) {
	had, has := before.Spec.Template.Spec.Containers, after.Spec.Template.Spec.Containers
	if len(had) != 1 || len(has) != 1 {
		return nil, fmt.Errorf("%s differs from config/default's, and a patch can only add arguments", after.id())
	}
	rest := before.text
	for _, arg := range has[0].Args {
		if !slices.Contains(had[0].Args, arg) {
			patches = append(patches, patch{"add", "/spec/template/spec/containers/0/args/-", arg})
		}
	}
	without := after.text
	for _, p := range patches {
		without = strings.Replace(without, fmt.Sprintf("            - %q\n", p.Value), "", 1)
	}
	if without != rest {
		return nil, fmt.Errorf("%s differs from config/default's in more than further arguments", after.id())
	}
	return patches, nil
}

// write writes the files of a folder. Each document goes into one of them.
func (f folder) write(root string, documents []document) error {
	texts := map[string][]string{}
	for _, d := range documents {
		var in []string
		for file, takes := range f.files {
			if takes(d) {
				in = append(in, file)
			}
		}
		if len(in) != 1 {
			return fmt.Errorf("%s, of templates/%s, goes into the files %q, want one", d.id(), d.template, in)
		}
		texts[in[0]] = append(texts[in[0]], d.text)
	}
	var errs []error
	for file := range f.files {
		if len(texts[file]) == 0 {
			errs = append(errs, fmt.Errorf("nothing goes into %s", file))
			continue
		}
		errs = append(errs, write(root, f.name, file, strings.Join(texts[file], "---\n")))
	}
	return errors.Join(errs...)
}

func write(root, folder, file, text string) error {
	const header = "# Rendered from charts/spider-operator by `make manifests`. To change it, write an overlay.\n"
	return os.WriteFile(filepath.Join(root, "config", folder, file), []byte(header+text), 0o644) //nolint:gosec // It is for all to read.
}
