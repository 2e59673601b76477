package ssetest

import (
	"compress/gzip"
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// newOutlet makes the outlet of an answer.
func (s *Server) newOutlet(w http.ResponseWriter, r *http.Request, pattern string) *outlet {
	s.mu.Lock()
	chaos := s.chaos
	s.mu.Unlock()
	o := &outlet{
		ResponseWriter: w, request: r, x: exchangeOf(r), ctx: r.Context(), chaos: chaos, pattern: pattern,
		mayCompress: s.cfg.Compress, compress: s.cfg.Compress && acceptsGzip(r.Header), head: r.Method == http.MethodHead,
	}
	if chaos != nil && !o.head {
		o.number = chaos.next(pattern)
		o.x.delay = chaos.Delay
		o.ctx, o.cancel = context.WithCancel(r.Context())
		o.request = r.WithContext(o.ctx)
	}
	return o
}

// release lets go of what the endpoint may still wait for.
func (o *outlet) release() {
	if o.cancel != nil {
		o.cancel()
	}
}

// An outlet stands between an endpoint and its response. Event streams are disturbed there, then recorded, then compressed;
// other responses pass as they are.
type outlet struct {
	http.ResponseWriter
	request *http.Request // as the endpoint gets it
	x       *exchange
	ctx     context.Context
	cancel  context.CancelFunc // nil without chaos
	chaos   *chaos
	pattern string
	number  uint64 // for chaos, from 1

	mayCompress bool // the server does
	compress    bool // and the client accepts it
	head        bool

	decided bool         // the header has been written
	records bool         // what is written is recorded
	inLine  bool         // and what was written last is a part of a line
	body    []byte       // the beginning of a body that is no stream
	events  *disturbance // nil where nothing is disturbed
	gzip    *gzip.Writer // nil where nothing is compressed
	gone    chan bool    // of CloseNotify; nil where nobody has asked for it
}

// CloseNotify is what handlers of old ask for that do not watch their request's context; net/http's own ResponseWriter has it, too.
func (o *outlet) CloseNotify() <-chan bool {
	if o.gone == nil {
		o.gone = make(chan bool, 1)
		context.AfterFunc(o.ctx, func() { o.gone <- true })
	}
	return o.gone
}

// WriteHeader decides what happens to the body.
func (o *outlet) WriteHeader(status int) {
	if !o.decided && status >= 200 {
		o.decided = true
		if status == http.StatusOK && essence(o.Header().Get("Content-Type")) == "text/event-stream" {
			o.stream()
		} else {
			o.x.answered = true
			o.x.srv.log.add(o.x.number, entryAnswered, answerText(status, o.Header()))
		}
	}
	o.ResponseWriter.WriteHeader(status)
}

// stream prepares for an event stream.
func (o *outlet) stream() {
	o.records = true
	o.x.srv.startStreaming(o.x)
	header := o.Header()
	if o.mayCompress && header.Get("Content-Encoding") == "" {
		header.Add("Vary", "Accept-Encoding")
		if o.compress {
			header.Set("Content-Encoding", "gzip")
			header.Del("Content-Length")
			if !o.head {
				o.gzip = compressors.Get().(*gzip.Writer)
				o.gzip.Reset(o.ResponseWriter)
			}
		}
	}
	if o.chaos != nil && !o.head {
		header.Del("Content-Length")
		o.x.disturbed.Store(true)
		o.events = &disturbance{outlet: o, chaos: o.chaos, number: o.number}
	}
}

func (o *outlet) Write(p []byte) (int, error) {
	if !o.decided {
		o.WriteHeader(http.StatusOK)
	}
	if o.events != nil {
		return o.events.write(p)
	}
	return o.put(p)
}

// put writes what has been disturbed.
func (o *outlet) put(p []byte) (int, error) {
	if o.records {
		o.x.srv.log.sent(o.x.number, p) // before it is: whoever has it finds it there
		if len(p) > 0 {
			o.inLine = p[len(p)-1] != '\n' && p[len(p)-1] != '\r'
		}
	} else {
		o.body = append(o.body, p[:min(len(p), maxAnswerBody-len(o.body))]...)
	}
	if o.gzip != nil {
		return o.gzip.Write(p)
	}
	return o.ResponseWriter.Write(p)
}

// Flush flushes what has been written.
func (o *outlet) Flush() { _ = o.FlushError() }

// FlushError flushes what has been written, and says whether the client is gone.
func (o *outlet) FlushError() error {
	if !o.decided {
		if !canFlush(o.ResponseWriter) {
			return http.ErrNotSupported // and there is still time for another answer
		}
		o.WriteHeader(http.StatusOK)
	}
	if o.events != nil && o.events.over != nil {
		return o.events.over
	}
	return o.flush()
}

func (o *outlet) flush() error {
	if o.gzip != nil {
		if err := o.gzip.Flush(); err != nil {
			return err
		}
	}
	return http.NewResponseController(o.ResponseWriter).Flush()
}

// canFlush reports whether a ResponseWriter, or one that it unwraps to, can flush, as http.ResponseController looks for it.
func canFlush(w http.ResponseWriter) bool {
	for {
		switch v := w.(type) {
		case interface{ FlushError() error }, http.Flusher:
			return true
		case interface{ Unwrap() http.ResponseWriter }:
			w = v.Unwrap()
		default:
			return false
		}
	}
}

// Unwrap lets [http.ResponseController] find what an outlet does not have.
func (o *outlet) Unwrap() http.ResponseWriter { return o.ResponseWriter }

// finish ends the body, when the endpoint has returned.
func (o *outlet) finish() {
	if o.head && !o.decided {
		o.WriteHeader(http.StatusOK) // nothing was written, but the header has to tell what would have been
	}
	if len(o.body) > 0 && !o.head {
		o.x.srv.log.add(o.x.number, entryAnswered, bodyText(o.body))
	}
	if o.events != nil {
		o.events.finish()
	}
	o.sayFarewell()
	if o.gzip == nil {
		return
	}
	if !o.x.aborted.Load() {
		_ = o.gzip.Close() // where it fails, the client is gone
	}
	o.gzip.Reset(nil)
	compressors.Put(o.gzip)
}

// sayFarewell ends a stream with a comment where Close ends it. An event that has begun stays unfinished.
func (o *outlet) sayFarewell() {
	x := o.x
	if x.srv.cfg.Farewell == "" || !o.records || x.aborted.Load() || !x.srv.isClosing() {
		return
	}
	comment := appendComment(nil, x.srv.cfg.Farewell)
	if o.inLine {
		comment = append([]byte{'\n'}, comment...)
	}
	_, _ = o.put(comment) // where it fails, the client is gone
}

// compressors are used again, since each takes a megabyte and a half to make.
var compressors = sync.Pool{New: func() any {
	z, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	if err != nil {
		panic("ssetest: " + err.Error()) // the level is valid
	}
	return z
}}

// acceptsGzip reports whether a client accepts gzip (RFC 9110, section 12.5.3).
func acceptsGzip(h http.Header) bool {
	accepted := false
	for _, element := range strings.Split(strings.Join(h.Values("Accept-Encoding"), ","), ",") {
		coding, parameters, _ := strings.Cut(element, ";")
		switch strings.ToLower(strings.TrimSpace(coding)) {
		case "gzip", "x-gzip":
			return weight(parameters) > 0
		case "*":
			accepted = weight(parameters) > 0
		}
	}
	return accepted
}

// weight is the quality value of an element: 1 where it has none.
func weight(parameters string) float64 {
	name, value, ok := strings.Cut(strings.TrimSpace(parameters), "=")
	if !ok || !strings.EqualFold(strings.TrimSpace(name), "q") {
		return 1
	}
	q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	if err != nil {
		return 0
	}
	return q
}
