//go:build load

package apiserver

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/scrapethis/spider-operator/apiserver/auth"
	"github.com/scrapethis/spider-operator/apiserver/guard"
)

// took are the times that calls of one kind took, and how many of them failed.
type took struct {
	times  []time.Duration
	failed int
	first  string
}

func (k *took) String() string {
	slices.Sort(k.times)
	if len(k.times) == 0 {
		return "none"
	}
	return fmt.Sprintf(
		"%d, half of them within %s, the slowest in %s, %d in more than 100 ms",
		len(k.times),
		k.times[len(k.times)/2].Round(
			10*time.Microsecond,
		),
		k.times[len(k.times)-1].Round(10*time.Microsecond),
		k.over(100*time.Millisecond),
	)
}

// over returns how many took longer.
func (k *took) over(bound time.Duration) int {
	number := 0
	for _, time := range k.times {
		if time > bound {
			number++
		}
	}
	return number
}

// keepAsking asks again and again, each time on a new connection, until stop is called, which returns what came of it. A call
// that asks for nothing of a caller sends no key.
func (v *victim) keepAsking(t *testing.T, from string, every time.Duration, requests ...*http.Request) (stop func() *took) {
	t.Helper()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	client := &http.Client{
		Timeout:   20 * time.Second,
		Transport: &http.Transport{DisableKeepAlives: true, DialContext: dialer.DialContext},
	}
	ctx, cancel := context.WithCancel(t.Context())
	answered := &took{}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for i := 0; ctx.Err() == nil; i++ {
			request := requests[i%len(requests)].Clone(context.Background())
			begun := time.Now()
			response, err := client.Do(request)
			problem := fmt.Sprint(err)
			if err == nil {
				_, _ = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
				problem = response.Status
			}
			answered.times = append(answered.times, time.Since(begun))
			if problem != "200 OK" {
				answered.failed++
				answered.first = problem
			}
			select {
			case <-ctx.Done():
			case <-time.After(every): // As the kubelet, or a caller that is in no hurry.
			}
		}
	}()
	return func() *took {
		cancel()
		<-ended
		return answered
	}
}

func request(t *testing.T, url, key string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	return r
}

// statuses reads the first line of each answer, for those that have one within the time, and counts them by status.
func statuses(connections []net.Conn, within time.Duration) map[string]int {
	counts := map[string]int{}
	deadline := time.Now().Add(within)
	for _, connection := range connections {
		_ = connection.SetReadDeadline(deadline)
		line, err := bufio.NewReader(connection).ReadString('\n')
		if err != nil || len(line) < len("HTTP/1.1 200") {
			counts["none"]++
			continue
		}
		counts[line[len("HTTP/1.1 "):len("HTTP/1.1 200")]]++
	}
	return counts
}

// TestACrowdKeepsNobodyWaitingUnderLoad opens as many connections as there may be, several times over: with bodies that never
// come, from few addresses and from many, and by honest callers who wait. All the time the kubelet is answered, and so is whoever
// is honest and new, from an address of its own and from one of those that flood.
func TestACrowdKeepsNobodyWaitingUnderLoad(t *testing.T) {
	v, end := newVictim(t, direct)
	eventually(t, "the private port is served", func() bool {
		response, err := http.DefaultClient.Do(request(t, v.Private+"/livez", ""))
		if err != nil {
			return false
		}
		return response.Body.Close() == nil && response.StatusCode == http.StatusOK
	})
	const all = guard.DefaultMaxConnections
	const flooding = "127.0.0.2"
	const perSecond = 3_000 // Ten times what used to be enough.
	body := "Content-Length: 9\r\n\r\n"
	wait := func(namespace string, key int) string {
		return "GET /api/v1/jobs/" + v.Jobs[namespace] + "?wait=5m HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + v.Keys[namespace][key] + "\r\n\r\n"
	}
	// flood opens connections as fast as a flood may come, and not at once: this machine has the kubelet's part to play, too.
	flood := func(t *testing.T, number int, each func(i int) (from, sends string)) []net.Conn {
		t.Helper()
		begun := time.Now()
		return v.connectFrom(t, number, func(i int) (string, string) {
			time.Sleep(time.Until(begun.Add(time.Duration(i) * time.Second / perSecond)))
			return each(i)
		})
	}
	var waiting []net.Conn
	for _, phase := range []struct {
		what string
		// do returns the connections that are closed once it was seen what they have done.
		do func(t *testing.T) []net.Conn
	}{
		{"8,000 connections of one address, with bodies that never come", func(t *testing.T) []net.Conn {
			sent := flood(t, all, func(int) (string, string) { return flooding, "GET /livez HTTP/1.1\r\nHost: a\r\n" + body })
			if open := v.ask().Open; open > guard.DefaultMaxConnectionsPerAddress+10 {
				t.Errorf("%d connections of one address are open", open)
			}
			return sent
		}},
		{"8,000 connections of 80 addresses, with bodies that never come", func(t *testing.T) []net.Conn {
			return flood(t, all, func(i int) (string, string) {
				return fmt.Sprintf("127.0.1.%d", i%80+1), "POST /api/v1/jobs HTTP/1.1\r\nHost: a\r\n" + body
			})
		}},
		{"2,000 connections with bodies that never come, and a key", func(t *testing.T) []net.Conn {
			return flood(t, all/4, func(i int) (string, string) {
				return flooding, "POST /api/v1/jobs HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + v.Keys["one"][i%len(v.Keys["one"])] + "\r\n" + body
			})
		}},
		{"keys that are none, from an address that others share", func(t *testing.T) []net.Conn {
			bad := "GET /api/v1/jobs HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer " + auth.NewKey().Reveal() + "\r\n\r\n"
			sent := flood(t, 500, func(int) (string, string) { return flooding, bad })
			got := statuses(sent, 30*time.Second)
			if got["401"]+got["429"] != 500 || got["429"] < 400 {
				t.Errorf("they are answered %v", got)
			}
			return sent
		}},
		{"8,000 honest waits of one namespace", func(t *testing.T) []net.Conn {
			waiting = flood(t, all, func(i int) (string, string) { return flooding, wait("one", i%len(v.Keys["one"])) })
			eventually(t, "as many wait as may", func() bool { return v.ask().Active == all/4*3 })
			return nil
		}},
		{"1,000 honest waits of another namespace", func(t *testing.T) []net.Conn {
			others := flood(t, all/8, func(i int) (string, string) { return "127.0.0.3", wait("two", i%len(v.Keys["two"])) })
			if got := statuses(others, 2*time.Second); got["none"] != all/8 {
				t.Errorf("of waits of a namespace that has few, some are answered before their time: %v", got)
			}
			if active := v.ask().Active; active != all/4*3 {
				t.Errorf("%d wait, want %d", active, all/4*3)
			}
			return nil
		}},
	} {
		kubelet := v.keepAsking(
			t, "127.0.0.1", 20*time.Millisecond, request(t, v.Private+"/livez", ""), request(t, v.Private+"/readyz", ""),
		)
		honest := v.keepAsking(t, "127.0.0.4", 30*time.Millisecond, request(t, v.URL+"/api/v1/jobs", v.Keys["two"][0]))
		sharing := v.keepAsking(t, flooding, 30*time.Millisecond, request(t, v.URL+"/api/v1/jobs/"+v.Job, v.Key))
		begun := time.Now()
		sent := phase.do(t)
		lasted := time.Since(begun)
		probes, calls, shared := kubelet(), honest(), sharing()
		state := v.ask()
		for _, connection := range sent {
			_ = connection.Close()
		}
		t.Logf(
			"%s, in %s: %d open, %d on purpose, %d MiB of memory at the most\n\tprobes: %s\n\thonest calls: %s\n\tof an address that floods: %s",
			phase.what, lasted.Round(time.Millisecond), state.Open, state.Active, state.Peak>>20, probes, calls, shared,
		)
		for who, answered := range map[string]*took{"the kubelet": probes, "an honest caller": calls, "one of an address that floods": shared} {
			if answered.failed > 0 {
				t.Errorf("%s: %s is answered %d times otherwise than 200, as with %s", phase.what, who, answered.failed, answered.first)
			}
		}
		// The flood comes from this machine, and from this process: it takes its share of the processors.
		if late := probes.over(time.Second); late > 0 || len(probes.times) == 0 {
			t.Errorf("%s: %d of %d probes take more than a second", phase.what, late, len(probes.times))
		}
		if state.Open > all {
			t.Errorf("%s: %d connections are open", phase.what, state.Open)
		}
	}
	if bound := 448 << 20; v.ask().Peak > bound && !raceDetector {
		t.Errorf("the REST API took %d MiB, want at most %d", v.ask().Peak>>20, bound>>20)
	}
	answered := make(chan map[string]int)
	go func() { answered <- statuses(waiting, time.Minute) }()
	end()
	// A quarter was told to come back, and 1,000 made room: they were answered with the job as it is.
	if got := <-answered; got["200"] != all/4*3 || got["429"] != all/4 {
		t.Errorf("honest waits are answered %v", got)
	}
}
