package ssetest

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// This file is what keeps credentials out of what is written to files and logs.

// redacted stands in place of a credential.
const redacted = "REDACTED"

var (
	// credentialName is what the names of fields and parameters have that carry credentials.
	credentialName = regexp.MustCompile(`(?i)auth|cookie|token|secret|passw|passphrase|^(x-)?pass$|^pwd?$|pwd|credential|session|signature|\bsig\b|api-?_?key|(^|[-_])key$|` +
		`csrf|xsrf|jwt|saml|\botp\b|ticket|^code$`)

	// credentialValue is what credentials look like, whatever their names: a scheme with its token, a JSON Web Token, the keys of well-known services, and what is
	// long and has no words.
	credentialValue = regexp.MustCompile(`(?i)^(bearer|basic|digest|negotiate)\s|eyJ[\w-]{8,}\.[\w-]+|\b(sk|pk|rk|ghp|gho|ghs|glpat|xox[abp]|AKIA|ASIA|AIza)[-_]?\w{12,}|\b[0-9a-f]{40,}\b|[\w+/-]{64,}={0,2}`)

	// pair is a parameter within a value, such as that of a URL; userInfo is what a URL has before its host.
	pair     = regexp.MustCompile(`([\w.%-]+)=([^&;,\s<>"']+)`)
	userInfo = regexp.MustCompile(`//[^/@\s<>"']+@`)
)

// redact returns a value, or what stands in its place where it is a credential or has one.
func redact(name, value string) string {
	if credentialName.MatchString(name) || credentialValue.MatchString(value) {
		return redacted
	}
	return redactPairs(value)
}

// redactPairs returns a text without what in it is a credential by its name, or stands before a host.
func redactPairs(text string) string {
	text = userInfo.ReplaceAllString(text, "//"+redacted+"@")
	return pair.ReplaceAllStringFunc(text, func(text string) string {
		inner, of, _ := strings.Cut(text, "=")
		if credentialName.MatchString(unescaped(inner)) || credentialValue.MatchString(unescaped(of)) {
			return inner + "=" + redacted
		}
		return text
	})
}

// unescaped is a part of a query as it is meant, where that can be told.
func unescaped(part string) string {
	if plain, err := url.QueryUnescape(part); err == nil {
		return plain
	}
	return part
}

// redactTarget is the target of a request, its path and query, without credentials.
func redactTarget(u *url.URL) string {
	if u.RawQuery == "" && u.RawPath == "" && isPlainPath(u.Path) {
		return u.Path
	}
	target := redactPairs(segment.ReplaceAllStringFunc(begin(u.EscapedPath()), func(part string) string {
		if credentialValue.MatchString(unescaped(part)) {
			return redacted
		}
		return part
	}))
	if target == "" {
		target = "/"
	}
	if u.RawQuery == "" {
		return target
	}
	return target + "?" + parameter.ReplaceAllStringFunc(begin(u.RawQuery), func(part string) string {
		name, value, ok := strings.Cut(part, "=")
		switch plain := unescaped(value); {
		case !ok && credentialValue.MatchString(unescaped(part)):
			return redacted
		case ok && redact(unescaped(name), plain) != plain:
			return name + "=" + redacted
		default:
			return part
		}
	})
}

// isPlainPath reports whether a path is one in which there can't be a credential, as most are, which the expressions take much longer to find out:
// it is shorter than the shortest of credentialValue's that have no blank, and has nothing that they or those of redactPairs look for.
func isPlainPath(path string) bool {
	const shortestCredential = 13
	if path == "" || len(path) >= shortestCredential {
		return false
	}
	for _, c := range []byte(path) {
		if c != '/' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// parameter is one of a query, and segment one of a path.
var (
	parameter = regexp.MustCompile(`[^&;]+`)
	segment   = regexp.MustCompile(`[^/;]+`)
)

// begin is as much of a text as anybody is shown, and more: to look through a megabyte of it takes a second.
func begin(text string) string {
	const most = 4 << 10
	return text[:min(len(text), most)]
}

// connectionFields are those that are about a connection or a moment, and not about a recording.
var connectionFields = []string{
	"Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Upgrade", "Trailer", "Te", "Content-Length", "Content-Encoding", "Date", "Alt-Svc", "Age", "Via",
}

// blankEnds become blanks in a field's value, as net/http writes it.
var blankEnds = strings.NewReplacer("\r", " ", "\n", " ")

// recordedHeader is what a recording has of a header: sorted directives.
func recordedHeader(h http.Header) []string {
	var lines []string
	for name, values := range h {
		if slices.Contains(connectionFields, name) || strings.HasPrefix(name, "Access-Control-") { // which depends on who asks
			continue
		}
		for _, value := range values {
			lines = append(lines, ":@ header "+name+": "+blankEnds.Replace(redact(name, value))+"\n")
		}
	}
	slices.Sort(lines)
	return lines
}

// redactURL is a URL without credentials, for errors.
func redactURL(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.User == nil && u.RawQuery == "" {
		return address
	}
	if u.Host == "" {
		return address
	}
	return u.Scheme + "://" + u.Host + redactTarget(u)
}
