package browser_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/ssetest"
)

// press presses keys, one after the other.
func (p *tab) press(keys string, options ...chromedp.KeyOption) {
	p.t.Helper()
	p.do(fmt.Sprintf("the keys %q", keys), chromedp.KeyEvent(keys, options...))
}

// selectAll makes the key A select everything.
func selectAll(k *input.DispatchKeyEventParams) {
	chromedp.KeyModifiers(chromedp.ModifierCtrl)(k)
	k.Commands = []string{"selectAll"}
}

// tabTo presses Tab until the element with an ID has the focus.
func (p *tab) tabTo(id string) {
	p.t.Helper()
	for range 20 {
		p.press(kb.Tab)
		if p.focus() == id {
			return
		}
	}
	p.t.Fatalf("twenty times Tab do not lead to %s", id)
}

// focus is the ID of the element that has the focus.
func (p *tab) focus() string {
	p.t.Helper()
	return ask[string](p, "the focus", `() => document.activeElement.id`)
}

// entries are those of a list, the oldest first.
func (p *tab) entries(list string) []string {
	p.t.Helper()
	return ask[[]string](p, "the entries of "+list, `(id) => Array.from(document.querySelectorAll("#" + id + " code"), (e) => e.textContent).reverse()`, list)
}

func TestPageLetters(t *testing.T) {
	t.Parallel()
	const n = 10
	reference := ssetest.NewServer(t, &ssetest.Config{Seed: 7})
	p := openCommand(t, command(t, "-seed=7", "-interval=10ms"))
	p.await(fmt.Sprintf(`Number(document.getElementById("letters-count").textContent) >= %d`, n))
	p.tabTo("letters-toggle")
	p.press(kb.Enter)
	p.awaitText("letters-state", "closed") // nothing moves any more
	letters := p.entries("letters-list")
	assert.Equal(t, strconv.Itoa(len(letters)), p.text("letters-count"))
	for k, letter := range letters[:n] {
		assert.Equal(t, reference.Letter(k).Data, letter)
	}
	assert.Equal(t, reference.Letter(len(letters)-1).ID, p.text("letters-id"))
	p.press(kb.Enter)
	p.awaitText("letters-state", "open")
}

// TestPagePosts posts and receives by keyboard alone. What is posted stays text.
func TestPagePosts(t *testing.T) {
	t.Parallel()
	const first, second = `{"text": "<img src=x onerror=alert(1)>"}`, `{"n": 12345678901234567890}`
	p := openCommand(t, command(t))
	p.awaitText("posts-state", "open")
	p.tabTo("post-body")
	p.press("a", selectAll)
	p.press(first)
	p.tabTo("post-send")
	p.press(kb.Enter)
	p.awaitText("post-result", "303 broadcasted")
	p.awaitText("posts-count", "1")
	p.press(kb.Tab, chromedp.KeyModifiers(chromedp.ModifierShift))
	assert.Equal(t, "post-body", p.focus())
	p.press("a", selectAll)
	p.press(second)
	p.press(kb.Enter, chromedp.KeyModifiers(chromedp.ModifierCtrl))
	p.awaitText("posts-count", "2")
	assert.Equal(t, []string{`{"text":"<img src=x onerror=alert(1)>"}`, `{"n":12345678901234567890}`}, p.entries("posts-list"))
	assert.Zero(t, ask[int](p, "images", `() => document.images.length`))
}

// TestPageMistake has something posted that is no JSON: the page says so and posts nothing, until it is.
func TestPageMistake(t *testing.T) {
	t.Parallel()
	p := openCommand(t, command(t))
	p.awaitText("posts-state", "open")
	p.tabTo("post-body")
	p.press("a", selectAll)
	p.press(`{"n": `)
	p.tabTo("post-send")
	p.press(kb.Enter)
	p.awaitText("post-error", "not JSON")
	assert.Equal(t, "post-body", p.focus())
	assert.Equal(t, "true", ask[string](p, "the box", `() => document.getElementById("post-body").getAttribute("aria-invalid")`))
	p.press(kb.End, chromedp.KeyModifiers(chromedp.ModifierCtrl))
	p.press("1}")
	assert.Empty(t, p.text("post-error"))
	p.press(kb.Enter, chromedp.KeyModifiers(chromedp.ModifierCtrl))
	p.awaitText("post-result", "303 broadcasted")
	p.awaitText("posts-count", "1") // and not 2
	assert.Equal(t, []string{`{"n":1}`}, p.entries("posts-list"))
}

// TestPageReconnects has a script in place of the letters, whose stream ends once.
func TestPageReconnects(t *testing.T) {
	t.Parallel()
	script := filepath.Join(t.TempDir(), "letters.sse")
	require.NoError(t, os.WriteFile(script, []byte(`:@ open
data: {"msg":"a"}
id: first
retry: 1

:@ end
:@ open
data: {"msg":"b"}
id: second

:@ hold
`), 0o600))
	p := openCommand(t, command(t, "-script", "GET /sse="+script))
	p.awaitText("letters-id", "second")
	assert.Equal(t, "1", p.text("letters-reconnects"))
	assert.Equal(t, "2", p.text("letters-count"))
	assert.Equal(t, "open", p.text("letters-state"))
	assert.Equal(t, "0", p.text("posts-reconnects"))
	assert.Equal(t, []string{`{"msg":"a"}`, `{"msg":"b"}`}, p.entries("letters-list"))
}

// TestPageScreenshots leaves pictures of the page with a letter and a post (go test -artifacts). It fits its screen, and is dark where that is wanted.
func TestPageScreenshots(t *testing.T) {
	t.Parallel()
	address := command(t, "-seed=7")
	phone := chromedp.EmulateViewport(390, 844, chromedp.EmulateScale(2), chromedp.EmulateMobile, chromedp.EmulateTouch)
	backgrounds := make(map[string]string)
	for name, viewport := range map[string]chromedp.Action[chromedp.Void]{"phone": phone, "desktop": chromedp.EmulateViewport(1280, 800)} {
		for _, scheme := range []string{"light", "dark"} {
			p := openCommand(t, address, viewport, colorScheme(scheme))
			p.awaitText("letters-count", "1")
			p.awaitText("posts-state", "open")
			p.tabTo("post-send")
			p.press(kb.Enter)
			p.awaitText("posts-count", "1")
			const overflow = `() => document.documentElement.scrollWidth - document.documentElement.clientWidth`
			assert.Zero(t, ask[int](p, "the width", overflow), "pixels beyond the edge of the %s", name)
			backgrounds[scheme] = ask[string](p, "the colour", `() => getComputedStyle(document.body).backgroundColor`)
			p.screenshot(name + "-" + scheme + ".png")
		}
	}
	assert.NotEqual(t, backgrounds["light"], backgrounds["dark"])
}

// colorScheme has the user prefer light or dark pages.
func colorScheme(scheme string) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, tab *chromedp.Target) (chromedp.Void, error) {
		features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}
		_, err := cdp.Call(ctx, tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features})
		return chromedp.Void{}, err
	}
}

// screenshot leaves a picture of the whole page.
func (p *tab) screenshot(name string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, limit)
	defer cancel()
	picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	require.NoError(p.t, err, "waited at most %v for a screenshot", limit)
	require.NoError(p.t, os.WriteFile(filepath.Join(p.t.ArtifactDir(), name), picture, 0o600))
}
