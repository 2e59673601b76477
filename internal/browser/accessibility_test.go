package browser_test

import (
	"context"
	"encoding/json"
	"slices"
	"testing"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A control is what can have the focus, as those who do not see the page are told of it.
type control struct {
	role string
	name string
}

// controls are those of the page, in the order of the accessibility tree, which is that of the document.
func (p *tab) controls() []control {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, limit)
	defer cancel()
	tree, err := chromedp.Run(ctx, func(ctx context.Context, tab *chromedp.Target) (accessibility.GetFullAXTreeResult, error) {
		return cdp.Call(ctx, tab, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	})
	require.NoError(p.t, err, "waited at most %v for the accessibility tree", limit)
	var found []control
	for _, node := range tree.Nodes {
		if c := (control{textOf(node.Role), textOf(node.Name)}); c.role != "RootWebArea" && isFocusable(node) {
			found = append(found, c)
		}
	}
	return found
}

func isFocusable(node *accessibility.Node) bool {
	return slices.ContainsFunc(node.Properties, func(p *accessibility.Property) bool {
		return p.Name == accessibility.PropertyNameFocusable && string(p.Value.Value) == "true"
	})
}

// textOf is a value that is a text; nil is the empty one.
func textOf(v *accessibility.Value) string {
	var text string
	if v != nil {
		_ = json.Unmarshal(v.Value, &text) // what is no text is as good as none
	}
	return text
}

// tabbable are the page's controls that Tab shall lead to, in the order of the document, as markup.
const tabbable = `() => Array.from(document.querySelectorAll("a[href], button, textarea, input, select, summary, [tabindex='0']"), (e) => e.cloneNode().outerHTML)`

// tabOrder are the elements that pressing Tab n times leads to, as markup; the body is "".
func (p *tab) tabOrder(n int, options ...chromedp.KeyOption) []string {
	p.t.Helper()
	order := make([]string, n)
	for i := range order {
		p.press(kb.Tab, options...)
		order[i] = ask[string](p, "the focus", `() => document.activeElement === document.body ? "" : document.activeElement.cloneNode().outerHTML`)
	}
	return order
}

func TestPageIsAccessible(t *testing.T) {
	t.Parallel()
	p := openCommand(t, command(t))
	p.awaitText("letters-count", "1")
	p.awaitText("posts-state", "open")

	wanted := ask[[]string](p, "the controls", tabbable)
	found := p.controls()
	assert.Len(t, found, len(wanted), "%v", found)
	for _, c := range found {
		assert.NotEmpty(t, c.name, "the name of a %s, among %v", c.role, found)
	}
	for _, role := range []string{"link", "button", "textbox"} {
		assert.True(t, slices.ContainsFunc(found, func(c control) bool { return c.role == role }), "there is no %s", role)
	}

	n := len(wanted)
	assert.Equal(t, wanted, p.tabOrder(n))
	assert.NotEqual(t, wanted[n-1:], p.tabOrder(1)) // it goes on, to the browser or to the beginning
	slices.Reverse(wanted)
	assert.Equal(t, wanted, p.tabOrder(n, chromedp.KeyModifiers(chromedp.ModifierShift)))
}
