package browser_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/internal/cli"
)

// command runs the command with flags until the test ends, and returns its URL.
func command(t *testing.T, flags ...string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	reader, out := io.Pipe()
	var errs bytes.Buffer
	exit := make(chan int, 1)
	go func() {
		code := cli.Run(ctx, append([]string{"-addr", "127.0.0.1:0"}, flags...), func(string) string { return "" }, out, &errs)
		_ = out.Close() // never fails
		exit <- code
	}()
	t.Cleanup(func() {
		cancel()
		select {
		case code := <-exit:
			assert.Zero(t, code, "the exit code of the command, which has said: %s", &errs)
		case <-time.After(limit):
			t.Errorf("waited %v for the command to leave", limit)
		}
	})
	lines := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(reader).ReadString('\n') // "" where it leaves before
		lines <- line
	}()
	select {
	case line := <-lines:
		_, address, ok := strings.Cut(strings.TrimSpace(line), "serving on ")
		require.True(t, ok, "the command has said %q", line)
		return address
	case <-time.After(limit):
		t.Fatalf("waited %v for the command to say where it serves", limit)
		return ""
	}
}

// A watch is what a page has said to its console, and asked of the network.
type watch struct {
	mu    sync.Mutex // guards what follows
	said  []string
	hosts map[string]bool
}

// note takes an event of the browser's.
func (w *watch) note(event any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch e := event.(type) {
	case *log.EventEntryAdded:
		w.said = append(w.said, string(e.Entry.Level)+": "+e.Entry.Text+" "+e.Entry.URL)
	case *runtime.EventExceptionThrown:
		w.said = append(w.said, "exception: "+e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		w.said = append(w.said, "console."+string(e.Type))
	case *network.EventRequestWillBeSent:
		if u, err := url.Parse(e.Request.URL); err == nil && u.Scheme != "data" {
			w.hosts[u.Host] = true
		}
	}
}

// openCommand opens the page of a command. When the test ends, it must have said nothing to the console, and asked no other host for anything.
func openCommand(t *testing.T, address string, before ...chromedp.Action[chromedp.Void]) *tab {
	t.Helper()
	w := &watch{hosts: make(map[string]bool)}
	p := newTab(t, chromedp.WithListener(w.note))
	p.do("the page of the command", append(before, focused, chromedp.Navigate(address))...)
	t.Cleanup(func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		assert.Empty(t, w.said, "what the page has said to the console")
		assert.Equal(t, map[string]bool{strings.TrimPrefix(address, "https://"): true}, w.hosts, "the hosts that the page has asked")
	})
	return p
}

// focused makes the page believe that it has the focus, whatever other tabs there are.
func focused(ctx context.Context, tab *chromedp.Target) (chromedp.Void, error) {
	_, err := cdp.Call(ctx, tab, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
	return chromedp.Void{}, err
}

// await waits until an expression of JavaScript is true in the page, looking after each change of the page.
func (p *tab) await(condition string) {
	p.t.Helper()
	const change = `() => new Promise((resolve) => {
		const look = () => {
			if (!(CONDITION)) return;
			observer.disconnect();
			resolve(true);
		};
		const observer = new MutationObserver(look);
		observer.observe(document, { subtree: true, childList: true, characterData: true, attributes: true });
		look();
	})`
	ask[bool](p, condition, strings.Replace(change, "CONDITION", condition, 1))
}

// text is that of the element with an ID.
func (p *tab) text(id string) string {
	p.t.Helper()
	return ask[string](p, "the text of "+id, `(id) => document.getElementById(id).textContent`, id)
}

// awaitText waits until the element with an ID has a text in its own.
func (p *tab) awaitText(id, text string) {
	p.t.Helper()
	p.await(`document.getElementById("` + id + `").textContent.includes("` + text + `")`)
}
