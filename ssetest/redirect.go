package ssetest

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// This file is what an EventSource does about redirects: what the Fetch standard says of them (section 4.4, HTTP-redirect fetch), where net/http differs.

// maxRedirects is how many an attempt follows.
const maxRedirects = 20

// A target is what is asked for. A redirect changes it for the attempts that follow, too: the standard sends the same request again,
// whose URL is then the one that it was led to.
type target struct {
	method string
	url    string
	header http.Header // beside what every attempt sends by itself
	body   []byte
}

// follow has later attempts ask where a redirect has led to, with what it has left of the header.
func (es *EventSource) follow(r *http.Request) {
	es.mu.Lock()
	defer es.mu.Unlock()
	if r.ContentLength == 0 {
		es.target.body = nil // the redirect has taken it away
	}
	es.target.method, es.target.url = r.Method, r.URL.String()
	header := make(http.Header)
	for name, values := range es.target.header {
		if _, kept := r.Header[http.CanonicalHeaderKey(name)]; kept {
			header[name] = values
		}
	}
	es.target.header = header
}

// redirects is a transport that remembers where it was led to.
type redirects struct {
	next     http.RoundTripper
	newest   *http.Request
	response *http.Response // to it; nil where there was none
}

func (t *redirects) RoundTrip(r *http.Request) (*http.Response, error) {
	next := t.next
	if next == nil {
		next = http.DefaultTransport
	}
	response, err := next.RoundTrip(r)
	if err == nil || t.newest == nil || isStreamURL(r.URL) {
		t.newest, t.response = r, response
	}
	return response, err
}

// judge decides what an error means, of a request that got no answer in the end. It is for good where it leads nowhere: the standard
// lets a client give up what it knows to be futile.
func (t *redirects) judge(err error) error {
	var untrusted *tls.CertificateVerificationError
	var unknown *net.DNSError
	if errors.As(err, &untrusted) || errors.As(err, &unknown) && unknown.Name == memoryHost {
		return final{err}
	}
	if r := t.response; r != nil && isRedirectStatus(r.StatusCode) && !leadsSomewhere(t.newest.URL, r) {
		return final{&ResponseError{StatusCode: r.StatusCode, ContentType: r.Header.Get("Content-Type"), Header: r.Header}}
	}
	return broken(err)
}

var errNowhere = errors.New("the redirect leads nowhere")

// leadsSomewhere reports whether a redirect has a Location where an event stream can be.
func leadsSomewhere(from *url.URL, r *http.Response) bool {
	text := r.Header.Get("Location")
	location, err := url.Parse(text)
	if err != nil || strings.HasPrefix(text, "//") && location.Host == "" { // which package url takes for a path
		return false
	}
	return isStreamURL(from.ResolveReference(location))
}

// isStreamURL reports whether an event stream can be at a URL.
func isStreamURL(u *url.URL) bool {
	if u.Port() != "" {
		if _, err := strconv.ParseUint(u.Port(), 10, 16); err != nil {
			return false
		}
	}
	return (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != ""
}

func isRedirectStatus(status int) bool {
	return slices.Contains([]int{301, 302, 303, 307, 308}, status)
}

// credentials are the fields that do not go to another origin.
var credentials = []string{"Authorization", "Proxy-Authorization", "Cookie", "Cookie2", "Www-Authenticate", tokenHeader}

// checkRedirect decides about redirects as the caller's function does, and where that is nil follows as many as browsers do. It is called with the request that is
// about to be sent.
func checkRedirect(callers func(r *http.Request, via []*http.Request) error) func(r *http.Request, via []*http.Request) error {
	return func(r *http.Request, via []*http.Request) error {
		if slices.ContainsFunc(append(via[1:len(via):len(via)], r), func(other *http.Request) bool { return origin(other.URL) != origin(via[0].URL) }) {
			for _, name := range credentials {
				r.Header.Del(name)
			}
			if referer, err := url.Parse(r.Header.Get("Referer")); err == nil && referer.Host != "" {
				r.Header.Set("Referer", referer.Scheme+"://"+referer.Host+"/") // as much as browsers say
			}
		}
		if r.Response != nil && !leadsSomewhere(via[len(via)-1].URL, r.Response) {
			return errNowhere
		}
		if err := keepMethod(r, via[len(via)-1]); err != nil {
			return err
		}
		switch {
		case callers != nil:
			return callers(r, via)
		case len(via) > maxRedirects:
			return fmt.Errorf("stopped after %d redirects", maxRedirects)
		default:
			return nil
		}
	}
}

// origin is the scheme, host and port of a URL.
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
}

// keepMethod gives a redirected request its method back where net/http has made a GET of it, other than browsers do: with 301 and 302, only a POST becomes one.
func keepMethod(r, before *http.Request) error {
	moved := r.Response != nil && (r.Response.StatusCode == http.StatusMovedPermanently || r.Response.StatusCode == http.StatusFound)
	if !moved || before.Method == r.Method || before.Method == http.MethodPost {
		return nil
	}
	r.Method, r.GetBody, r.ContentLength = before.Method, before.GetBody, before.ContentLength
	for name, values := range before.Header {
		if strings.HasPrefix(name, "Content-") {
			r.Header[name] = values
		}
	}
	if before.GetBody == nil {
		return nil
	}
	var err error
	r.Body, err = before.GetBody()
	return err
}
