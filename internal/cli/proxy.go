package cli

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// hsts is for a year (RFC 6797, section 6.1).
const hsts = "max-age=31536000"

// behindProxy believes what a proxy in front says of the request that it got: by which scheme, and for which host and port.
// What came over http is sent to https, and what came over https is told to come by no other way again, which may be said there alone (RFC 6797, section 7.2).
func behindProxy(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		proto := strings.ToLower(first(r.Header.Get("X-Forwarded-Proto")))
		told := r.Header.Get("X-Forwarded-Host") != "" || r.Header.Get("X-Forwarded-Port") != ""
		host, ok := forwardedHost(r)
		switch {
		case ok:
			r.Host = host
		case told || proto == "http": // a probe of the proxy's own may come without any
			http.Error(w, fmt.Sprintf("ssetest: the request is for no host that there could be: X-Forwarded-Host is %q, X-Forwarded-Port is %q, and Host is %q",
				r.Header.Get("X-Forwarded-Host"), r.Header.Get("X-Forwarded-Port"), r.Host), http.StatusBadRequest)
			return
		}
		switch proto {
		case "http":
			to := url.URL{Scheme: "https", Host: host, Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}
			http.Redirect(w, r, to.String(), http.StatusMovedPermanently)
			return
		case "https":
			w.Header().Set("Strict-Transport-Security", hsts)
		}
		next.ServeHTTP(w, r)
	})
}

// forwardedHost is the host that the proxy was asked for, with its port where that is none of the usual ones. It reports false where it could be no host.
func forwardedHost(r *http.Request) (string, bool) {
	host := first(r.Header.Get("X-Forwarded-Host"))
	if host == "" {
		host = r.Host
	}
	name, port := host, ""
	if n, p, err := net.SplitHostPort(host); err == nil {
		name, port = n, p
	}
	if forwarded := first(r.Header.Get("X-Forwarded-Port")); forwarded != "" {
		port = forwarded
	}
	name = strings.Trim(name, "[]")
	if port != "" && !isPort(port) || !isHost(name) {
		return "", false
	}
	if port == "" || port == "80" || port == "443" {
		if strings.Contains(name, ":") {
			name = "[" + name + "]"
		}
		return name, true
	}
	return net.JoinHostPort(name, port), true
}

// first is what the proxy that the client spoke to has said, where several have said something.
func first(list string) string {
	value, _, _ := strings.Cut(list, ",")
	return strings.TrimSpace(value)
}

// isHost reports whether a text has but what a name, or an address, is written with.
func isHost(text string) bool {
	const written = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:"
	return text != "" && strings.Trim(text, written) == ""
}
