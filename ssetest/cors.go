package ssetest

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// anyOrigin in Config.AllowedOrigins allows every origin, without credentials.
const anyOrigin = "*"

// defaultPorts are what an origin leaves out.
var defaultPorts = map[string]string{"http": "80", "https": "443"}

// parseOrigin returns an origin as browsers send it (RFC 6454, section 6.2): in lower case and without a default port.
func parseOrigin(text string) (string, error) {
	if text == anyOrigin {
		return anyOrigin, nil
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme == "" || strings.Contains(u.Host, "*") || !isPortOrNone(u.Port()):
		return "", fmt.Errorf("%q is no origin; it is written as in https://app.example:8443, or as * for any", text)
	case u.User != nil || u.Path != "" || u.RawQuery != "" || u.ForceQuery || strings.Contains(text, "#"):
		return "", fmt.Errorf("%q is more than an origin, which ends with the host, or its port: %s://%s", text, u.Scheme, u.Host)
	case strings.ContainsFunc(u.Host, func(r rune) bool { return r > unicode.MaxASCII }):
		return "", fmt.Errorf("%q is not as browsers send it, which write a host in ASCII, as in https://xn--bcher-kva.example", text)
	}
	scheme, host, port := strings.ToLower(u.Scheme), strings.ToLower(u.Hostname()), u.Port()
	if ip, err := netip.ParseAddr(host); err == nil && ip.Is6() {
		host = "[" + ip.String() + "]"
	}
	if port != "" && port != defaultPorts[scheme] {
		host += ":" + port
	}
	return scheme + "://" + host, nil
}

func isPortOrNone(port string) bool {
	_, err := strconv.ParseUint(port, 10, 16)
	return port == "" || err == nil
}

// parseOrigins returns origins as browsers send them.
func parseOrigins(texts []string) ([]string, error) {
	var origins []string
	for i, text := range texts {
		origin, err := parseOrigin(text)
		if err != nil {
			return nil, fmt.Errorf("Config.AllowedOrigins[%d]: %w", i, err)
		}
		origins = append(origins, origin)
	}
	return origins, nil
}

// cors lets the pages of allowed origins read what the endpoints answer, by the CORS protocol (WHATWG Fetch, section 3.3).
// It stands before Config.Wrap, since a preflight has no credentials. Where no origin is allowed, it is not there at all.
func (s *Server) cors(next http.Handler) http.Handler {
	if len(s.cfg.AllowedOrigins) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		origin := r.Header.Get("Origin")
		allowed := s.allowOrigin(w.Header(), origin)
		if r.Method != http.MethodOptions || origin == "" || r.Header.Get("Access-Control-Request-Method") == "" {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Add("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers")
		if !allowed {
			s.warn("%s: answered 403, since Config.AllowedOrigins does not have the origin %s", requestLine(r), shown(origin))
			http.Error(w, "ssetest: the origin of this page is not allowed; Config.AllowedOrigins, or the command's -origin, allows it", http.StatusForbidden)
			return
		}
		s.answerPreflight(w, r)
	})
}

// allowOrigin says that an origin may read the response, or reports false where it may not. Credentials go with origins that are allowed by name.
func (s *Server) allowOrigin(header http.Header, origin string) bool {
	header.Add("Vary", "Origin")
	switch {
	case origin == "":
		return false
	case slices.Contains(s.cfg.AllowedOrigins, origin) && origin != anyOrigin:
		header.Set("Access-Control-Allow-Origin", origin)
		header.Set("Access-Control-Allow-Credentials", "true")
		return true
	case slices.Contains(s.cfg.AllowedOrigins, anyOrigin):
		header.Set("Access-Control-Allow-Origin", anyOrigin)
		return true
	default:
		return false
	}
}

// answerPreflight says what an allowed origin may ask for: any method that there is at that path, with whatever headers.
func (s *Server) answerPreflight(w http.ResponseWriter, r *http.Request) {
	asked := r.Clone(r.Context())
	asked.Method = r.Header.Get("Access-Control-Request-Method")
	methods := []string{asked.Method} // for a path that there is not, too: the page shall read the 404
	if !s.serves(asked) {
		if others := s.allowed(asked); len(others) > 0 {
			methods = others
		}
	}
	header := w.Header()
	header.Set("Access-Control-Allow-Methods", strings.Join(methods, ", "))
	if fields := r.Header.Values("Access-Control-Request-Headers"); len(fields) > 0 {
		header.Set("Access-Control-Allow-Headers", strings.Join(fields, ", "))
	}
	w.WriteHeader(http.StatusNoContent)
}

// serves reports whether there is an endpoint for a request.
func (s *Server) serves(r *http.Request) bool {
	_, custom := s.custom.Handler(r)
	_, builtin := builtinMux.Handler(r)
	return custom != "" || builtin != ""
}
