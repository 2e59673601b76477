package browser_test

import (
	"context"
	_ "embed"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/ssetest"
)

//go:embed testdata/page.html
var page []byte

// pagePath is where a server has the page that a test's EventSources are in.
const pagePath = "/page"

// A tab of the browser is a test's own, with cookies and connections of its own.
type tab struct {
	t        *testing.T
	ctx      context.Context
	received *received
	sources  []*source
}

// newTab opens a tab, which is closed by t.Cleanup.
func newTab(t *testing.T, options ...chromedp.ContextOption) *tab {
	t.Helper()
	r := newReceived()
	ctx, cancel := chromedp.NewContext(browser, append(options, chromedp.WithNewBrowserContext(), chromedp.WithListener(r.note))...)
	t.Cleanup(cancel)
	require.NoError(t, start(ctx, cancel), "opening a tab")
	return &tab{t: t, ctx: ctx, received: r}
}

// openPage opens the page of EventSources on a server. When the test ends, they must have told nothing that the test has not expected.
func openPage(t *testing.T, srv *ssetest.Server) *tab {
	t.Helper()
	srv.Handle("GET "+pagePath, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(page)
	}))
	p := newTab(t)
	p.do("the page", chromedp.Navigate(srv.URL+pagePath))
	t.Cleanup(p.closeSources)
	return p
}

// closeSources closes the page's EventSources, and looks at what they have told.
func (p *tab) closeSources() {
	told := ask[[][]record](p, "the last records", `() => recorders.map((r) => { r.source.close(); return r.records })`)
	if p.t.Failed() {
		for i, records := range told {
			p.t.Logf("EventSource %d: %v", i, records)
		}
		return
	}
	for _, s := range p.sources {
		assert.Empty(p.t, told[s.index][s.taken:], "what EventSource %d has told, and nobody expected", s.index)
	}
}

// do has the browser do something in the tab.
func (p *tab) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, limit)
	defer cancel()
	require.NoError(p.t, chromedp.Do(ctx, steps...), "waited at most %v for %s", limit, what)
}

// evaluate runs a script, whose value nobody wants.
func evaluate(script string) chromedp.Action[chromedp.Void] {
	return chromedp.Evaluate[chromedp.Void](script)
}

// ask calls a function of JavaScript in the tab, and returns what it returns, or what its promise resolves to.
func ask[T any](p *tab, what, function string, args ...any) T {
	p.t.Helper()
	texts := make([]string, len(args))
	for i, arg := range args {
		text, err := json.Marshal(arg)
		require.NoError(p.t, err)
		texts[i] = string(text)
	}
	ctx, cancel := context.WithTimeout(p.ctx, limit)
	defer cancel()
	call := "(" + function + ")(" + strings.Join(texts, ", ") + ")"
	answer, err := chromedp.Run(ctx, chromedp.Evaluate[T](call, chromedp.EvalAwaitPromise))
	require.NoError(p.t, err, "waited at most %v for %s", limit, what)
	return answer
}

// requestsOf are those that a server has had for a path.
func requestsOf(srv *ssetest.Server, path string) []ssetest.Request {
	var requests []ssetest.Request
	for _, r := range srv.Requests() {
		if r.URL.Path == path {
			requests = append(requests, r)
		}
	}
	return requests
}

// connectionsOf are the connections that requests came in on, in the order of these.
func connectionsOf(requests []ssetest.Request) []int {
	connections := make([]int, len(requests))
	for i, r := range requests {
		connections[i] = r.Connection
	}
	return connections
}
