package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/test/integration/controlplane"
	"github.com/scrapethis/spider-operator/test/integration/running"
)

var cluster *controlplane.ControlPlane

func TestMain(m *testing.M) { os.Exit(controlplane.Main(m, &cluster)) }

func TestDocumentationShowsEveryCallAndStartsAJob(t *testing.T) {
	namespace := cluster.Namespace(t)
	key, _ := running.APIKey(t, cluster.Client, namespace, "reader")
	spider := &v1alpha1.Spider{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "books"}}
	if err := cluster.Client.Create(t.Context(), spider); err != nil {
		t.Fatal(err)
	}
	address := running.RESTAPI(t, cluster.Config, running.RESTAPIOptions(t))
	page := open(t, address+"/docs")

	page.do(chromedp.WaitVisible(chromedp.CSS(".opblock")))
	shown := evaluate[[]string](page, `[...document.querySelectorAll(".opblock")].map(o =>
		o.querySelector(".opblock-summary-method").textContent + " " + o.querySelector("[data-path]").dataset.path)`)
	slices.Sort(shown)
	if calls := documentedCalls(t, address); !slices.Equal(shown, calls) {
		t.Errorf("the page shows\n%q\nthe contract has\n%q", shown, calls)
	}

	const call, answer = "#operations-jobs-startJob ", "#operations-jobs-startJob .live-responses-table "
	page.do(
		chromedp.Click(chromedp.CSS(".btn.authorize")),
		chromedp.SendKeys(chromedp.CSS(".modal-ux input"), key),
		chromedp.Click(chromedp.CSS(".modal-ux .btn.authorize")),
		chromedp.Click(chromedp.CSS(".modal-ux .btn-done")),
		chromedp.Click(chromedp.CSS(call+".opblock-summary-control")),
		chromedp.WaitVisible(chromedp.CSS(call+"textarea")),
	)
	page.replaceText(call+"textarea", `{"spider_name": "books", "arguments": {"category": "poetry"}}`)
	page.do(
		chromedp.Click(chromedp.CSS(call+".execute")),
		chromedp.WaitVisible(chromedp.CSS(answer+".response .response-col_status")),
		chromedp.WaitVisible(chromedp.CSS(answer+".highlight-code")),
	)
	status, body := page.text(answer+".response .response-col_status"), page.text(answer+".highlight-code")
	if !strings.HasPrefix(strings.TrimSpace(status), "200") {
		t.Fatalf("the page shows the answer %s %s", status, body)
	}
	var jobs v1alpha1.SpiderJobList
	if err := cluster.Client.List(t.Context(), &jobs, client.InNamespace(namespace)); err != nil {
		t.Fatal(err)
	}
	if len(jobs.Items) != 1 || jobs.Items[0].Spec.UserID != "reader" || jobs.Items[0].Spec.Arguments["category"] != "poetry" ||
		!strings.Contains(body, jobs.Items[0].Name) {
		t.Errorf("the page shows the answer %s, the cluster has the SpiderJobs %+v", body, jobs.Items)
	}

	requested, complaints := page.seen()
	for _, request := range requested {
		if u, err := url.Parse(request); err != nil || u.Scheme != "data" && "http://"+u.Host != address {
			t.Errorf("the page asks for %s", request)
		}
	}
	if !slices.Contains(requested, address+"/openapi.json") || !slices.Contains(requested, address+"/api/v1/jobs") {
		t.Errorf("requests were not seen, so nothing was tested: %q", requested)
	}
	for _, complaint := range complaints {
		t.Errorf("the browser complains: %s", complaint)
	}
}

// documentedCalls returns the calls in the served contract, sorted.
func documentedCalls(t *testing.T, address string) []string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address+"/openapi.json", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var contract struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.NewDecoder(response.Body).Decode(&contract); err != nil {
		t.Fatal(err)
	}
	var calls []string
	for path, operations := range contract.Paths {
		for method := range maps.Keys(operations) {
			if method != "parameters" {
				calls = append(calls, strings.ToUpper(method)+" "+path)
			}
		}
	}
	slices.Sort(calls)
	return calls
}

// tab is a page in a browser, with all requests that it made and all problems that the browser reported.
type tab struct {
	t   *testing.T
	ctx context.Context //nolint:containedctx // it is what chromedp calls a browser

	mu         sync.Mutex
	requests   []string
	complaints []string
}

// patience bounds every wait for the browser. A passing test never reaches it.
const patience = time.Minute

// open starts a browser on an address. It can reach only the loopback address, and ends with the test.
func open(t *testing.T, address string) *tab {
	t.Helper()
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(chromium(t)),
		chromedp.NoSandbox, // Which root cannot have, and which guards against pages that are not ours.
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
		chromedp.WindowSize(1200, 2000),
	)
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	page := &tab{t: t, ctx: ctx}
	if err := chromedp.Listen(ctx, page.watch); err != nil {
		t.Fatalf("start a browser: %v", err)
	}
	page.do(chromedp.Navigate(address))
	return page
}

// chromium returns the path of a browser, which chromium.sh finds.
func chromium(t *testing.T) string {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), "./chromium.sh").Output()
	if err != nil {
		t.Fatalf("a browser is needed: %v", err)
	}
	return strings.TrimSpace(string(output))
}

func (p *tab) watch(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch event := event.(type) {
	case *network.EventRequestWillBeSent:
		p.requests = append(p.requests, event.Request.URL)
	case *log.EventEntryAdded:
		if event.Entry.Level == log.EntryLevelError || event.Entry.Level == log.EntryLevelWarning {
			p.complaints = append(p.complaints, event.Entry.Text+" "+event.Entry.URL)
		}
	case *runtime.EventExceptionThrown:
		p.complaints = append(p.complaints, (&chromedp.ExceptionError{ExceptionDetails: event.ExceptionDetails}).Error())
	default:
	}
}

func (p *tab) seen() (requests, complaints []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.requests), slices.Clone(p.complaints)
}

// do runs actions in the page, each as soon as possible.
func (p *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	run(p, chromedp.Steps(actions...))
}

// text returns the text of an element.
func (p *tab) text(selector string) string {
	p.t.Helper()
	return run(p, chromedp.Text(chromedp.CSS(selector)))
}

// replaceText replaces the content of a field so that the page's own code notices it.
func (p *tab) replaceText(selector, text string) {
	p.t.Helper()
	evaluate[bool](p, fmt.Sprintf(`(() => {
		const field = document.querySelector(%q);
		Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, "value").set.call(field, %q);
		return field.dispatchEvent(new Event("input", {bubbles: true}));
	})()`, selector, text))
}

func evaluate[T any](p *tab, expression string) T {
	p.t.Helper()
	return run(p, chromedp.Evaluate[T](expression))
}

func run[T any](p *tab, action chromedp.Action[T]) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	result, err := chromedp.Run(ctx, action)
	if err != nil {
		_, complaints := p.seen()
		p.t.Fatalf("in the browser: %v; it complains: %q", err, complaints)
	}
	return result
}
