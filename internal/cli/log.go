package cli

import (
	"io"
	"log"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// logging is what -log asks for: a handler around all others that tells of each request when it comes and when it is over, and where net/http's own trouble goes to.
// Without -log nothing tells of requests, and trouble is a line on errs.
func logging(format string, errs io.Writer) (func(http.Handler) http.Handler, *log.Logger) {
	var handler slog.Handler
	switch format {
	case "text":
		handler = slog.NewTextHandler(errs, nil)
	case "json":
		handler = slog.NewJSONHandler(errs, nil)
	default:
		return func(next http.Handler) http.Handler { return next }, log.New(prefixed{errs}, "", 0)
	}
	logger := slog.New(handler)
	return func(next http.Handler) http.Handler { return logRequests(logger, next) }, slog.NewLogLogger(handler, slog.LevelError)
}

// maxLogged is how many bytes of what a client has sent are logged.
const maxLogged = 200

// A prefixed writes lines that all begin as those of this command do.
type prefixed struct{ io.Writer }

func (w prefixed) Write(line []byte) (int, error) {
	const prefix = "ssetest: " // which the library's own have
	if _, err := io.WriteString(w.Writer, prefix+strings.TrimPrefix(string(line), prefix)); err != nil {
		return 0, err
	}
	return len(line), nil
}

func logRequests(logger *slog.Logger, next http.Handler) http.Handler {
	var count atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		logger := logger.With("number", count.Add(1))
		attributes := []any{"method", r.Method, "path", r.URL.Path[:min(len(r.URL.Path), maxLogged)], "protocol", r.Proto, "host", r.Host, "from", r.RemoteAddr}
		if id := r.Header.Get("Last-Event-ID"); id != "" {
			attributes = append(attributes, "last_event_id", id[:min(len(id), maxLogged)])
		}
		logger.Info("request", attributes...)
		answer := &answerLog{ResponseWriter: w}
		start := time.Now()
		defer func() { // a stream that is broken off is over as well
			logger.Info("done", "status", answer.status, "bytes", answer.bytes, "after", time.Since(start).Round(time.Microsecond).String())
		}()
		next.ServeHTTP(answer, r)
	})
}

// An answerLog sees what a response is. Its status is set before anything is written, as every endpoint of the server's does it.
type answerLog struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (a *answerLog) WriteHeader(status int) {
	if a.status == 0 && status >= http.StatusOK {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answerLog) Write(p []byte) (int, error) {
	n, err := a.ResponseWriter.Write(p)
	a.bytes += int64(n)
	return n, err
}

// Unwrap lets [http.ResponseController] flush.
func (a *answerLog) Unwrap() http.ResponseWriter { return a.ResponseWriter }
