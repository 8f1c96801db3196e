package restapi

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver"
	"github.com/scrapethis/spider-operator/test/integration/controlplane"
	"github.com/scrapethis/spider-operator/test/integration/running"
)

// TestOutageOfKubernetes disconnects the REST API, checks what it can still do, and reconnects it.
func TestOutageOfKubernetes(t *testing.T) { testOutage(t, (*line).cut) }

// TestKubernetesHangs keeps the connections, but lets nothing through: the REST API notices within five seconds.
func TestKubernetesHangs(t *testing.T) { testOutage(t, (*line).freeze) }

func testOutage(t *testing.T, breakOff func(*line)) {
	namespace := cluster.Namespace(t)
	newSpider(t, namespace, "books")
	key, _ := newKey(t, namespace, "")
	line := newLine(t, strings.Trim(strings.TrimPrefix(cluster.Config.Host, "https:"), "/"))
	r := start(t, func(config *rest.Config, _ *apiserver.Options) { config.Host = "https://" + line.address })
	id := r.want(http.StatusOK, http.MethodPost, "/api/v1/jobs", key, started)["jobId"].(string)

	breakOff(line)
	begun := time.Now()
	controlplane.Eventually(t, "the REST API says how old its picture is", func(context.Context) (bool, error) {
		status, header, answer := r.send(http.MethodGet, "/api/v1/jobs", key, "")
		if list, _ := answer["list"].([]any); status != http.StatusOK || len(list) != 1 {
			t.Fatalf("cut off, a list is answered %d %v", status, answer)
		}
		return header.Get("X-Data-Age") != "", nil
	})
	if took := time.Since(begun); took > 6*time.Second { // One second more for a busy machine.
		t.Errorf("the outage was noticed after %s", took)
	}
	controlplane.Eventually(t, "/readyz says that it is degraded", func(context.Context) (bool, error) {
		status, _, answer := r.send(http.MethodGet, "/readyz", "", "")
		return status == http.StatusOK && answer["status"] == "degraded", nil
	})
	r.want(http.StatusOK, http.MethodGet, "/api/v1/jobs/"+id, key, "")
	status, header, answer := r.send(http.MethodPost, "/api/v1/jobs", key, started)
	if status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" {
		t.Errorf("cut off, a start is answered %d %v with Retry-After %q", status, answer, header.Get("Retry-After"))
	}
	if failed := r.want(http.StatusInternalServerError, http.MethodDelete, "/api/v1/jobs/"+id, key,
		""); failed["error"] != "Failed to cancel job" {
		t.Errorf("cut off, a cancel is answered %v", failed)
	}

	job := &v1alpha1.SpiderJob{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "meanwhile"},
		Spec:       v1alpha1.SpiderJobSpec{SpiderRef: v1alpha1.SpiderReference{Name: "books"}},
	}
	create(t, job)
	line.cut() // A connection that hung does not recover.
	line.join()
	r.eventually(http.StatusOK, http.MethodGet, "/api/v1/jobs/"+job.ID(), key, "")
	r.want(http.StatusOK, http.MethodDelete, "/api/v1/jobs/"+id, key, "")
	controlplane.Eventually(t, "the picture is fresh again", func(context.Context) (bool, error) {
		_, header, _ := r.send(http.MethodGet, "/api/v1/jobs", key, "")
		return header.Get("X-Data-Age") == "", nil
	})
}

// line carries connections to an address until it is cut.
type line struct {
	address, to string

	mu          sync.Mutex
	listener    net.Listener
	connections []net.Conn
	// frozen is closed when nothing is forwarded any more, although the connections stay.
	frozen chan struct{}
}

func newLine(t *testing.T, to string) *line {
	t.Helper()
	l := &line{address: running.FreeAddress(t), to: to}
	l.join()
	t.Cleanup(l.cut)
	return l
}

func (l *line) join() {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", l.address)
	if err != nil {
		panic(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.listener, l.frozen = listener, make(chan struct{})
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			l.carry(near)
		}
	}()
}

func (l *line) carry(near net.Conn) {
	far, err := new(net.Dialer).DialContext(context.Background(), "tcp", l.to)
	if err != nil {
		_ = near.Close()
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.connections = append(l.connections, near, far)
	go func() { _, _ = io.Copy(near, thawed{far, l.frozen}) }()
	go func() { _, _ = io.Copy(far, thawed{near, l.frozen}) }()
}

// thawed is a reader until it is frozen, and then never returns data again.
type thawed struct {
	io.Reader

	frozen <-chan struct{}
}

// Read implements io.Reader.
func (r thawed) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	select {
	case <-r.frozen:
		return 0, io.EOF // The copying goroutine stops, and closes nothing.
	default:
		return n, err
	}
}

// freeze keeps all connections, and accepts new ones, but forwards nothing.
func (l *line) freeze() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.frozen)
}

func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.listener.Close()
	for _, connection := range l.connections {
		_ = connection.Close()
	}
	l.connections = nil
}
