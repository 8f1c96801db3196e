package node

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// logbook is a container's log.
type logbook struct {
	mu        sync.Mutex
	text      string
	closed    bool
	followers int
	changed   chan struct{} // closed at the next change
}

func newLogbook() *logbook { return &logbook{changed: make(chan struct{})} }

func (l *logbook) write(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.text += text
	}
	l.tell()
}

// close ends the log: its followers reach its end.
func (l *logbook) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.tell()
}

func (l *logbook) tell() {
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *logbook) follow(by int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.followers += by
	l.tell()
}

// watch returns the number of followers, and a channel that is closed at the next change.
func (l *logbook) watch() (followers int, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.followers, l.changed
}

// from returns the text from an offset on, and a channel that is closed when there is more; nil if there will be none.
func (l *logbook) from(offset int) (text string, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return l.text[offset:], nil
	}
	return l.text[offset:], l.changed
}

func (l *logbook) lastBytes(n int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text[max(0, len(l.text)-n):]
}

// tail returns the offset at which the last lines begin, 0 for a negative number of them.
func (l *logbook) tail(lines int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if lines < 0 {
		return 0
	}
	offset := len(l.text)
	for ; lines > 0 && offset > 0; lines-- {
		offset = strings.LastIndexByte(l.text[:offset-1], '\n') + 1
	}
	return offset
}

// logHandler serves logs as the kubelet does: it does not answer before the log's first byte.
func (n *Node) logHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", func(w http.ResponseWriter, r *http.Request) {
		log, hangs := n.logOf(r.PathValue("namespace"), r.PathValue("pod"), r.PathValue("container"))
		if hangs {
			<-r.Context().Done()
			return
		}
		if log == nil {
			http.Error(w, "container not found", http.StatusNotFound)
			return
		}
		lines := -1
		if text := r.URL.Query().Get("tailLines"); text != "" {
			var err error
			if lines, err = strconv.Atoi(text); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
		}
		serveLog(w, r, log, log.tail(lines), r.URL.Query().Get("follow") == "true")
	})
	return mux
}

func serveLog(w http.ResponseWriter, r *http.Request, log *logbook, offset int, follow bool) {
	if follow {
		log.follow(1)
		defer log.follow(-1)
	}
	for {
		text, changed := log.from(offset)
		offset += len(text)
		if text != "" {
			if _, err := w.Write([]byte(text)); err != nil {
				return
			}
			if err := http.NewResponseController(w).Flush(); err != nil {
				return
			}
		}
		if !follow || changed == nil {
			return
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		}
	}
}

// logOf returns a container's log, nil if there is none, and whether reading it hangs.
func (n *Node) logOf(namespace, pod, container string) (log *logbook, hangs bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if c := n.of(namespace); c.muteLogs || c.cut != nil {
		return nil, true
	}
	for _, l := range n.lives {
		if l.pod.Namespace == namespace && l.pod.Name == pod {
			if p := l.process(container); p != nil {
				return p.log, false
			}
		}
	}
	return nil, false
}
