package cli

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"syscall"

	"github.com/go-ssetest/sse/ssetest"
)

// serve serves until ctx is done. Whatever can be wrong is found before it says where it serves.
func serve(ctx context.Context, o *options, out, errs io.Writer) error {
	scripts, err := readScripts(o.scripts)
	if err != nil {
		return err
	}
	cfg := o.config()
	if cfg.Certificate, err = readCertificate(o); err != nil {
		return err
	}
	logged, errorLog := logging(o.log, errs)
	cfg.ErrorLog = errorLog
	cfg.Wrap = func(next http.Handler) http.Handler {
		if o.behindProxy {
			next = behindProxy(next)
		}
		return logged(next)
	}
	srv, err := ssetest.Start(cfg)
	if err != nil {
		return whyNotStarted(o, err)
	}
	defer srv.Close()
	if err := equip(srv, o, scripts); err != nil {
		return err
	}
	if o.certOut != "" {
		block := &pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}
		if err := os.WriteFile(o.certOut, pem.EncodeToMemory(block), 0o644); err != nil {
			return fmt.Errorf("writing the certificate: %w; -cert-out must be a file that can be written", err)
		}
	}
	if _, err := fmt.Fprintf(out, "ssetest: serving on %s\n", srv.URL); err != nil {
		return fmt.Errorf("saying where the server is: %w", err)
	}
	<-ctx.Done()
	return nil
}

// whyNotStarted says what to do where the server has not started.
func whyNotStarted(o *options, err error) error {
	text := strings.NewReplacer("ssetest: ", "", "starting the server: Config.Addr: ", "").Replace(err.Error())
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s is taken by another program; end that, or choose another port, as in -addr :0 for any that is free", o.addr)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%s is not for everybody to listen on; choose a port above 1023, as in -addr :4043", o.addr)
	case strings.HasPrefix(text, "Config.AllowedOrigins"):
		_, why, _ := strings.Cut(text, ": ")
		return mistakef("-origin: %s", why)
	default:
		return fmt.Errorf("%s; see -addr", text)
	}
}

// A fileScript is what -script has been given: the scripts of a file, for a pattern.
type fileScript struct {
	pattern string
	scripts []ssetest.Script
}

func readScripts(flags []string) ([]fileScript, error) {
	var all []fileScript
	for _, text := range flags {
		pattern, path, ok := strings.Cut(text, "=")
		if pattern = strings.TrimSpace(pattern); !ok || pattern == "" || path == "" {
			return nil, mistakef("-script is %q; it is a pattern and a file, as in -script 'GET /feed=feed.sse'", text)
		}
		scripts, err := readScript(path)
		if err != nil {
			return nil, fmt.Errorf("-script: %w", err)
		}
		all = append(all, fileScript{pattern, scripts})
	}
	return all, nil
}

func readScript(path string) ([]ssetest.Script, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w; it must be a file with an event stream", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	scripts, err := ssetest.ParseScripts(f)
	var unreadable *fs.PathError
	if errors.As(err, &unreadable) {
		return nil, fmt.Errorf("%w; it must be a file with an event stream", unreadable)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %s", path, strings.TrimPrefix(err.Error(), "ssetest: "))
	}
	return scripts, nil
}

// readCertificate reads -cert and -key; nil is where the server makes its own.
func readCertificate(o *options) (*tls.Certificate, error) {
	if o.cert == "" {
		return nil, nil
	}
	c, err := tls.LoadX509KeyPair(o.cert, o.key)
	if err != nil {
		return nil, fmt.Errorf("-cert %s and -key %s: %s; they must be PEM files, such as mkcert localhost makes", o.cert, o.key, strings.TrimPrefix(err.Error(), "tls: "))
	}
	return &c, nil
}

// equip gives the server what the library's own has not. A pattern that can't be served is a mistake.
func equip(srv *ssetest.Server, o *options, scripts []fileScript) error {
	handlePages(srv)
	srv.Chaos(o.chaos.chaos)
	for _, s := range scripts {
		if err := s.register(srv); err != nil {
			return err
		}
	}
	return nil
}

// register makes an error of the panic with which Script says what is wrong with a pattern.
func (s fileScript) register(srv *ssetest.Server) (err error) {
	defer func() {
		if value := recover(); value != nil {
			why, _, _ := strings.Cut(fmt.Sprint(value), "\n")
			_, why, _ = strings.Cut(why, "): ") // the call
			if strings.Contains(why, "conflicts with") {
				why = "another -script has such a pattern, or the command itself, which has /, /page/page.css, /page/page.js, /healthz and /transcript"
			}
			err = mistakef("-script %q: %s", s.pattern, why)
		}
	}()
	srv.Script(s.pattern, s.scripts...)
	return nil
}
