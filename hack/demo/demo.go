package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/scrapethis/spider-operator/client"
	"github.com/scrapethis/spider-operator/hack/internal/command"
	"github.com/scrapethis/spider-operator/hack/internal/progress"
)

// The clusters that the demo runs on.
const (
	local   = "local"
	current = "current"
)

// Where things are in the cluster.
const (
	operatorNamespace    = "spider-operator-system"
	demoNamespace        = "demo"
	release              = "spider-operator"
	apiService           = "spider-operator-apiserver"
	controllerDeployment = "deployment/spider-operator-controller"
)

type options struct {
	cluster string
	helm    string
	images  images
}

// demo is one run of the demo.
type demo struct {
	options
	root       string
	out        io.Writer
	say        *progress.Printer
	kubeconfig string // empty for the one that kubectl finds by itself
	kubectl    string // the program
	digests    digests
	access     access
	api        *client.Client
	// endForward ends the port-forward, if there is one.
	endForward func()
}

func (d *demo) walk(ctx context.Context) error {
	for _, part := range []func(context.Context) error{d.findCluster, d.install, d.connect, d.crawl} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	fmt.Fprint(os.Stderr, d.whatNext())
	return nil
}

// findCluster starts the local cluster and puts the images on it, or finds the user's own.
func (d *demo) findCluster(ctx context.Context) error {
	if d.cluster == current {
		d.kubectl = "kubectl"
		return nil
	}
	d.say.Heading("Cluster")
	if _, err := d.hack(ctx, "cluster", "up"); err != nil {
		return fmt.Errorf("start the cluster: %w", err)
	}
	d.kubeconfig = filepath.Join(d.root, ".cluster", "kubeconfig")
	d.kubectl = filepath.Join(d.root, ".cluster", "bin", "kubectl")
	return d.buildAndLoad(ctx)
}

// hack runs one of the project's own helpers, which tells its steps itself, and returns its standard output.
func (d *demo) hack(ctx context.Context, helper string, args ...string) (string, error) {
	cmd := command.In(ctx, filepath.Join(d.root, "hack"), nil, "go", append([]string{"run", "./" + helper}, args...)...)
	cmd.Stderr = os.Stderr
	return command.Output(cmd)
}

// step runs a step, whose title its error begins with.
func (d *demo) step(ctx context.Context, title string, do func(context.Context) error) error {
	err := d.say.Do(ctx, title, func(ctx context.Context, _ progress.Note) error { return do(ctx) })
	if err != nil {
		return fmt.Errorf("%s: %w", title, err)
	}
	return nil
}

// run runs a program for the cluster, with something to read, and returns what it printed.
func (d *demo) run(ctx context.Context, input, program string, args ...string) (string, error) {
	cmd := command.New(ctx, program, args...)
	cmd.Stdin = strings.NewReader(input)
	if d.kubeconfig != "" {
		cmd.Env = append(os.Environ(), "KUBECONFIG="+d.kubeconfig)
	}
	return command.Output(cmd)
}

// ask has kubectl print something.
func (d *demo) ask(ctx context.Context, args ...string) (string, error) {
	return d.run(ctx, "", d.kubectl, args...)
}

// install installs or updates the operator and what the demo adds to it.
func (d *demo) install(ctx context.Context) error {
	d.say.Heading("Operator")
	if err := d.step(ctx, "create the namespaces", d.apply("namespaces.yaml")); err != nil {
		return err
	}
	if err := d.step(ctx, "install the chart", d.helmUpgrade); err != nil {
		return err
	}
	err := d.step(ctx, "create the bookshop and its spiders", func(ctx context.Context) error {
		_, err := d.ask(ctx, "wait", "--for=condition=Established", "--timeout=30s", "crd/spiders.scrapethis.app")
		if err != nil {
			return err
		}
		return d.apply("site.yaml", "spiders.yaml")(ctx)
	})
	if err != nil {
		return err
	}
	if err := d.rollout(ctx, operatorNamespace); err != nil {
		return err
	}
	return d.rollout(ctx, demoNamespace)
}

func (d *demo) apply(manifests ...string) func(context.Context) error {
	return func(ctx context.Context) error {
		for _, name := range manifests {
			content, err := os.ReadFile(filepath.Join(d.root, "hack", "demo", "manifests", name))
			if err != nil {
				return fmt.Errorf("read a manifest: %w", err)
			}
			manifest := withImages(string(content), d.images, d.digests)
			if _, err := d.run(ctx, manifest, d.kubectl, "apply", "--server-side", "--force-conflicts", "--filename=-"); err != nil {
				return err
			}
		}
		return nil
	}
}

func (d *demo) helmUpgrade(ctx context.Context) error {
	values, err := json.Marshal(chartValues(d.images, d.digests))
	if err != nil {
		return fmt.Errorf("write the chart's values: %w", err)
	}
	for deadline := time.Now().Add(operationPatience); ; {
		// The definitions may be there already: by `make install`, or by a release that was uninstalled.
		_, err = d.run(ctx, string(values), d.helm, "upgrade", "--install", release,
			filepath.Join(d.root, "charts", "spider-operator"), "--namespace", operatorNamespace, "--values", "-",
			"--take-ownership", "--force-conflicts")
		switch {
		case err == nil || !strings.Contains(err.Error(), "another operation"):
			return err
		case !wait(ctx):
			return fmt.Errorf("wait for another Helm: %w", context.Cause(ctx))
		case time.Now().After(deadline):
			return fmt.Errorf("%w\n    If no other Helm is at work, an earlier one was interrupted. Make Helm forget it with:\n"+
				"    kubectl delete secrets -n %s -l 'owner=helm,name=%s,status in (pending-install,pending-upgrade,pending-rollback)'",
				err, operatorNamespace, release)
		}
	}
}

// operationPatience is how long another Helm that works on the release is waited for.
const operationPatience = 30 * time.Second

// chartValues are the values that differ from the chart's own.
func chartValues(wanted images, known digests) map[string]any {
	repository, tag := splitReference(wanted.operator)
	annotations := map[string]string{}
	if known.operator != "" {
		annotations[digestAnnotation] = known.operator
	}
	return map[string]any{
		"image":      map[string]any{"repository": repository, "tag": tag},
		"config":     map[string]any{"controller": map[string]any{"spiderImage": wanted.spiders}},
		"controller": map[string]any{"podAnnotations": annotations},
		"apiserver":  map[string]any{"podAnnotations": annotations},
	}
}

// splitReference splits an image reference at its tag, "latest" if it has none. A colon before a slash is a registry's port.
func splitReference(reference string) (repository, tag string) {
	if i := strings.LastIndex(reference, ":"); i > strings.LastIndex(reference, "/") {
		return reference[:i], reference[i+1:]
	}
	return reference, "latest"
}

// rollout waits until a namespace's Deployments run what they should, and explains it when they do not.
func (d *demo) rollout(ctx context.Context, namespace string) error {
	return d.step(ctx, "wait for the Deployments in "+namespace, func(ctx context.Context) error {
		listed, err := d.ask(ctx, "get", "deployments", "--namespace", namespace, "--output", "name")
		if err != nil {
			return err
		}
		for name := range strings.FieldsSeq(listed) {
			_, err := d.ask(ctx, "rollout", "status", name, "--namespace", namespace, "--timeout=2m")
			if err != nil && ctx.Err() == nil {
				return errors.Join(err, d.explainDeployment(ctx, namespace, name))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// connect finds the REST API and a key to it: that of an earlier run, if it still opens the API, else a new one.
func (d *demo) connect(ctx context.Context) error {
	d.say.Heading("API")
	url, err := d.apiURL(ctx)
	if err != nil {
		return err
	}
	if d.access, err = loadAccess(d.root); err != nil {
		return err
	}
	d.access.Kubeconfig, d.access.URL = d.kubeconfig, url
	accepted := true
	err = d.step(ctx, "reach the REST API at "+url, func(ctx context.Context) error {
		err := d.useKey(ctx, d.access.Key)
		if client.HasCode(err, client.CodeUnauthorized) {
			accepted, err = false, nil
		}
		return err
	})
	if err != nil {
		return err
	}
	if !accepted {
		if err := d.step(ctx, "create an API key", d.createKey); err != nil {
			return err
		}
	}
	return d.access.save(d.root)
}

// callTime is how long a call may take.
const callTime = 10 * time.Second

// useKey calls the REST API with a key, and from then on.
func (d *demo) useKey(ctx context.Context, key string) (err error) {
	d.access.Key = key
	// So many attempts outlast a REST API that is being replaced by a new version.
	const attempts = 8
	if d.api, err = client.New(d.access.URL, key, client.WithTimeout(callTime), client.WithAttempts(attempts)); err != nil {
		return err
	}
	_, err = d.api.ListJobs(ctx, client.ListJobsParams{Limit: 1})
	return err
}

// apiURL is where this machine reaches the REST API: the local cluster's services directly, others by a port-forward.
func (d *demo) apiURL(ctx context.Context) (string, error) {
	if d.cluster == current {
		return d.forward(ctx)
	}
	address, err := d.ask(ctx, "get", "service", apiService, "--namespace", operatorNamespace,
		"--output", "jsonpath={.spec.clusterIP}")
	return "http://" + address, err
}

func (d *demo) createKey(ctx context.Context) error {
	binary := filepath.Join(d.root, "bin", "spider-operator")
	_, err := command.Output(command.In(ctx, d.root, []string{"CGO_ENABLED=0"},
		"go", "build", "-trimpath", "-buildvcs=false", "-o", binary, "./cmd/spider-operator"))
	if err != nil {
		return err
	}
	// Without a user, it is of the namespace itself: it sees the jobs that kubectl makes there, too.
	key, err := d.run(ctx, "", binary, "apikey", "create", "--namespace", demoNamespace, "--description", "made by make demo")
	if err != nil {
		return err
	}
	// The API hears of the key through its watch.
	for range 20 {
		if err = d.useKey(ctx, key); err == nil || !wait(ctx) {
			return err
		}
	}
	return fmt.Errorf("the new key does not open the API: %w", err)
}

// booksInShop asks the site, through the Kubernetes API, how many books it holds.
func (d *demo) booksInShop(ctx context.Context) (int, error) {
	printed, err := d.ask(ctx, "get", "--raw", "/api/v1/namespaces/"+demoNamespace+"/services/site:http/proxy/count.json")
	if err != nil {
		return 0, fmt.Errorf("ask the bookshop how many books it holds: %w", err)
	}
	var count struct {
		Books int `json:"books"`
	}
	if err := json.Unmarshal([]byte(printed), &count); err != nil {
		return 0, fmt.Errorf("ask the bookshop how many books it holds: %w", err)
	}
	return count.Books, nil
}
