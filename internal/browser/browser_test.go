// The tests of this package have Chromium read what ssetest serves.
package browser_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/go-ssetest/sse/ssetest"
)

// limit is how long anything may wait before it fails its test.
const limit = 20 * time.Second

// browser is where every test opens its tabs: one for the whole run, since it takes a second to start.
var browser context.Context

// TestMain starts the browser, and leaves neither a process nor a file of it.
func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	path, err := exec.LookPath("chromium")
	if err != nil {
		return 1, errors.New("there is no chromium to test with; on Debian, apt-get install chromium has it")
	}
	folder, err := os.MkdirTemp("", "ssetest-browser-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	if err := os.Setenv("TMPDIR", folder); err != nil { // the profile goes there, and whatever Chromium itself leaves
		return 1, err
	}
	trusted, err := fingerprint()
	if err != nil {
		return 1, err
	}
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), options(path, folder, trusted)...)
	defer cancel() // waits for the process
	ctx, cancel := chromedp.NewContext(allocator)
	defer cancel()
	if err := start(ctx, cancel); err != nil {
		return 1, fmt.Errorf("starting %s: %w", path, err)
	}
	browser = ctx
	code = m.Run()
	closing, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := chromedp.Cancel(closing); err != nil {
		return code, fmt.Errorf("closing the browser: %w", err)
	}
	return code, nil
}

// start starts the browser or tab of a context. It lives as long as the context, which therefore can't be one with a deadline.
func start(ctx context.Context, cancel context.CancelFunc) error {
	timer := time.AfterFunc(limit, cancel)
	defer timer.Stop()
	if err := chromedp.Do(ctx); err != nil {
		return fmt.Errorf("waited at most %v: %w", limit, err)
	}
	return nil
}

// options are how Chromium is started: it speaks to this machine alone, and trusts the certificate with the fingerprint, and no other that is
// signed by itself.
func options(path, folder, trusted string) []chromedp.ExecAllocatorOption {
	return append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.NoSandbox, // or it does not run as root
		chromedp.DisableGPU,
		chromedp.Env("HOME="+folder, "XDG_CONFIG_HOME="+folder, "XDG_CACHE_HOME="+folder),
		chromedp.Flag("ignore-certificate-errors-spki-list", trusted),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1"),
		chromedp.Flag("no-proxy-server", true),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		// Without a process for the address bar of each window, which nobody sees.
		chromedp.Flag("disable-features", "Translate,WebUIOmniboxPopup,WebUIOmniboxAimPopup,WebUIOmniboxFullPopup"),
	)
}

// fingerprint is the SHA-256 of the public key that every server of this process has.
func fingerprint() (string, error) {
	srv, err := ssetest.Start(nil)
	if err != nil {
		return "", err
	}
	defer srv.Close()
	sum := sha256.Sum256(srv.Certificate().RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:]), nil
}
