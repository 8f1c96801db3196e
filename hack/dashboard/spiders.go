package main

import (
	"fmt"
	"math/rand/v2"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/test/integration/lifecycle/node"
)

// The namespaces: one where all goes well, but for spiders that fail; one with a quota that is too small; one whose image cannot
// be pulled, since no node runs its Pods.
const (
	shop, news, lab = "shop", "news", "lab"
	quotaPods       = 4
)

// behaviors are what the Pods of each Spider do, by the Spider's name.
var behaviors = map[string]node.Program{
	"books":    func(p *node.Process) node.Exit { return crawl(p, between(10, 40), "finished") },
	"quick":    func(p *node.Process) node.Exit { return crawl(p, between(2, 8), "finished") },
	"nightly":  func(p *node.Process) node.Exit { return crawl(p, between(5, 10), "finished") },
	"headline": func(p *node.Process) node.Exit { return crawl(p, between(10, 30), "finished") },
	"banned":   func(p *node.Process) node.Exit { return crawl(p, between(5, 15), "closespider_errorcount") },
	"endless":  func(p *node.Process) node.Exit { return crawl(p, time.Hour, "finished") },
	"broken": func(p *node.Process) node.Exit {
		pause(p, between(1, 5))
		return node.Exit{Code: 1, Message: "KeyError: 'price'"}
	},
	"greedy": func(p *node.Process) node.Exit {
		pause(p, between(5, 15))
		return node.Exit{Code: 137, Reason: "OOMKilled"}
	},
}

// spiders are the Spiders of the namespaces.
func spiders() []*v1alpha1.Spider {
	var all []*v1alpha1.Spider
	add := func(namespace, name string, change func(*v1alpha1.SpiderSpec)) {
		spider := &v1alpha1.Spider{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
		spider.Spec.Image = "spiders:1"
		change(&spider.Spec)
		all = append(all, spider)
	}
	plain := func(*v1alpha1.SpiderSpec) {}
	for _, name := range []string{"books", "quick", "nightly", "banned", "broken", "greedy"} {
		add(shop, name, plain)
	}
	add(shop, "endless", func(spec *v1alpha1.SpiderSpec) { spec.TimeoutSeconds = ptr.To[int64](20) })
	add(news, "headline", plain)
	add(lab, "new", plain)
	return all
}

func program(p *node.Process) node.Exit { return behaviors[p.Pod.Labels[v1alpha1.LabelSpider]](p) }

// crawl is a Scrapy that scrapes for some time, or until it gets a signal, and says so in its log as Scrapy does.
func crawl(p *node.Process, length time.Duration, reason string) node.Exit {
	items := 0
	end, second := time.After(length), time.NewTicker(time.Second)
	defer second.Stop()
	for n := 1; ; n++ {
		select {
		case <-second.C:
			items += 2 + rand.IntN(6) //nolint:gosec // an example
			if n%5 == 0 {
				p.Printf("%s [scrapy.extensions.logstats] INFO: Crawled %d pages (at 60 pages/min), scraped %d items (at 60 items/min)\n",
					stamp(), items, items)
			}
		case <-end:
			return closed(p, items, reason)
		case <-p.Terminated():
			return closed(p, items, "shutdown")
		case <-p.Killed():
			return node.Exit{}
		}
	}
}

// closed is what Scrapy logs when it closes.
func closed(p *node.Process, items int, reason string) node.Exit {
	p.Printf("%s [scrapy.statscollectors] INFO: Dumping Scrapy stats:\n"+
		"{'downloader/request_count': %d,\n 'finish_reason': '%s',\n 'item_scraped_count': %d,\n 'response_received_count': %d}\n"+
		"%s [scrapy.core.engine] INFO: Spider closed (%s)\n", stamp(), items*5/4, reason, items, items*5/4, stamp(), reason)
	return node.Exit{}
}

func stamp() string { return time.Now().Format("2006-01-02 15:04:05") }

// pause waits, for as long as the process may run.
func pause(p *node.Process, length time.Duration) {
	select {
	case <-time.After(length):
	case <-p.Terminated():
	case <-p.Killed():
	}
}

// between is a time of so many seconds.
func between(least, most int) time.Duration {
	return time.Duration(least)*time.Second + rand.N(time.Duration(most-least)*time.Second) //nolint:gosec // an example
}

// cannotPull is what a kubelet reports of a Pod whose image it cannot have.
func cannotPull(pod *corev1.Pod) corev1.PodStatus {
	image := pod.Spec.Containers[0].Image
	return corev1.PodStatus{
		Phase: corev1.PodPending,
		ContainerStatuses: []corev1.ContainerStatus{{
			Name: v1alpha1.ContainerName, Image: image,
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{
				Reason: "ImagePullBackOff", Message: fmt.Sprintf("Back-off pulling image %q", image),
			}},
		}},
	}
}
