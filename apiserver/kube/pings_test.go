package kube

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	goruntime "runtime"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// frozenProxy hands on what either side sends, until it is frozen: connections then stay open and nothing goes through, as behind
// a node that has lost its network or a kube-apiserver that hangs.
type frozenProxy struct {
	net.Listener
	frozen chan struct{}
}

func newFrozenProxy(t *testing.T, to string) *frozenProxy {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &frozenProxy{listener, make(chan struct{})}
	var running sync.WaitGroup
	t.Cleanup(func() {
		_ = listener.Close()
		running.Wait()
	})
	running.Go(func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			onward, err := new(net.Dialer).DialContext(t.Context(), "tcp", to)
			if err != nil {
				_ = from.Close()
				continue
			}
			context.AfterFunc(t.Context(), func() {
				_ = from.Close()
				_ = onward.Close()
			})
			running.Go(func() { p.copy(onward, from) })
			running.Go(func() { p.copy(from, onward) })
		}
	})
	return p
}

func (p *frozenProxy) copy(to, from net.Conn) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		select {
		case <-p.frozen:
			return
		default:
		}
		if err != nil {
			_ = to.Close()
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// A kube-apiserver that hangs while the connection to it stays open is noticed within five seconds, by pings.
func TestKubernetesThatHangsIsNoticed(t *testing.T) {
	watching := make(chan struct{}, 1)
	kubernetes := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Query().Get("watch") == "" {
			list := spiderPage("7", "", "a")
			list.APIVersion, list.Kind = v1alpha1.GroupVersion.String(), "SpiderList"
			if err := json.NewEncoder(w).Encode(list); err != nil {
				t.Error(err)
			}
			return
		}
		if r.ProtoMajor != 2 {
			t.Errorf("the watch speaks %s, which knows no pings", r.Proto)
		}
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush() //nolint:forcetypeassert // net/http's can.
		watching <- struct{}{}
		<-r.Context().Done()
	}))
	kubernetes.EnableHTTP2 = true
	kubernetes.StartTLS()
	t.Cleanup(kubernetes.Close)
	proxy := newFrozenProxy(t, kubernetes.Listener.Addr().String())

	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	mapper := meta.NewDefaultRESTMapper(nil)
	mapper.Add(v1alpha1.GroupVersion.WithKind("Spider"), meta.RESTScopeNamespace)
	config := &rest.Config{Host: "https://" + proxy.Addr().String()}
	config.CAData = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: kubernetes.Certificate().Raw})
	config.ServerName = "example.com"
	through, err := client.NewWithWatch(WithPings(config), client.Options{Scheme: scheme, Mapper: mapper})
	if err != nil {
		t.Fatal(err)
	}
	reported := make(chan error, 100)
	feed, sink := newFeed(through, func(err error) { reported <- err })
	run(t, feed)
	sink.await(t, "a")
	<-watching
	for feed.State(time.Now()).Age != 0 { // The answer is on its way to the feed.
		if err := t.Context().Err(); err != nil {
			t.Fatal(err)
		}
		goruntime.Gosched()
	}

	close(proxy.frozen)
	frozen := time.Now()
	select {
	case err := <-reported:
		took, state := time.Since(frozen), feed.State(time.Now())
		t.Logf("noticed after %s: %v", took, err)
		if took > 5*time.Second || state.Age < 3*time.Second || state.Age > 6*time.Second {
			t.Errorf("noticed after %s, with an age of %s", took, state.Age)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("not noticed in 30 s")
	}
}
