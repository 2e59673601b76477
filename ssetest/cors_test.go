package ssetest_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/ssetest"
)

// corsHeader are the fields of a response that a browser decides by, and Vary; those that are not there are left out.
func corsHeader(response *http.Response) map[string]string {
	found := make(map[string]string)
	for name, values := range response.Header {
		if strings.HasPrefix(name, "Access-Control-") || name == "Vary" {
			found[strings.TrimPrefix(name, "Access-Control-")] = strings.Join(values, ", ")
		}
	}
	return found
}

// ask sends a request as a page of an origin would. Headers come in pairs of name and value.
func ask(t *testing.T, srv *ssetest.Server, method, path, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, srv.URL+path, strings.NewReader(body))
	require.NoError(t, err)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := srv.Client().Do(r)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	if response.Header.Get("Content-Type") == "text/event-stream" {
		return response, "" // it has no end
	}
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response, string(text)
}

func TestCORS(t *testing.T) {
	const app, foreign = "https://app.example", "https://evil.example"
	named := map[string]string{"Allow-Origin": app, "Allow-Credentials": "true", "Vary": "Origin"}
	anyone := map[string]string{"Allow-Origin": "*", "Vary": "Origin"}
	nothing := map[string]string{"Vary": "Origin"}
	preflightVary := "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
	preflight := func(allow map[string]string, methods, headers string) map[string]string {
		answer := map[string]string{"Vary": preflightVary, "Allow-Methods": methods}
		if headers != "" {
			answer["Allow-Headers"] = headers
		}
		for name, value := range allow {
			if name != "Vary" {
				answer[name] = value
			}
		}
		return answer
	}
	refused := map[string]string{"Vary": preflightVary}

	for name, c := range map[string]struct {
		origins      []string
		method, path string
		headers      []string
		status       int
		want         map[string]string
	}{
		"nobody is allowed by default":  {nil, "GET", "/sse", []string{"Origin", app}, 200, map[string]string{}},
		"nor are there preflights":      {nil, "OPTIONS", "/post", []string{"Origin", app, "Access-Control-Request-Method", "POST"}, 405, map[string]string{}},
		"an origin by name, letters":    {[]string{app}, "GET", "/sse", []string{"Origin", app}, 200, named},
		"an origin by name, a topic":    {[]string{app}, "GET", "/post", []string{"Origin", app}, 200, named},
		"an origin by name, a post":     {[]string{app}, "POST", "/post", []string{"Origin", app, "Content-Type", "application/json"}, 303, named},
		"an origin by name, a script":   {[]string{app}, "GET", "/feed", []string{"Origin", app}, 200, named},
		"an origin by name, a handler":  {[]string{app}, "PUT", "/own", []string{"Origin", app}, 200, named},
		"an origin by name, a refusal":  {[]string{app}, "GET", "/nowhere", []string{"Origin", app}, 404, named},
		"one of several":                {[]string{"http://localhost:5173", app}, "GET", "/sse", []string{"Origin", app}, 200, named},
		"as browsers write it":          {[]string{"HTTPS://App.Example:443"}, "GET", "/sse", []string{"Origin", app}, 200, named},
		"an empty port":                 {[]string{app + ":"}, "GET", "/sse", []string{"Origin", app}, 200, named},
		"an address":                    {[]string{"http://[0:0::1]:3000"}, "GET", "/sse", []string{"Origin", "http://[::1]:3000"}, 200, map[string]string{"Allow-Origin": "http://[::1]:3000", "Allow-Credentials": "true", "Vary": "Origin"}},
		"another port":                  {[]string{app + ":444"}, "GET", "/sse", []string{"Origin", app}, 200, nothing},
		"another scheme":                {[]string{"http://app.example"}, "GET", "/sse", []string{"Origin", app}, 200, nothing},
		"a foreign origin":              {[]string{app}, "GET", "/sse", []string{"Origin", foreign}, 200, nothing},
		"a foreign origin with a post":  {[]string{app}, "POST", "/post", []string{"Origin", foreign, "Content-Type", "application/json"}, 303, nothing},
		"one that begins as it":         {[]string{app}, "GET", "/sse", []string{"Origin", app + ".evil.example"}, 200, nothing},
		"the opaque origin":             {[]string{app}, "GET", "/sse", []string{"Origin", "null"}, 200, nothing},
		"no browser":                    {[]string{app}, "GET", "/sse", nil, 200, nothing},
		"any origin":                    {[]string{"*"}, "GET", "/sse", []string{"Origin", foreign}, 200, anyone},
		"any, and one by name":          {[]string{"*", app}, "GET", "/sse", []string{"Origin", app}, 200, named},
		"any, and another by name":      {[]string{"*", app}, "GET", "/sse", []string{"Origin", foreign}, 200, anyone},
		"a star is no origin":           {[]string{"*"}, "GET", "/sse", []string{"Origin", "*"}, 200, anyone},
		"any, no browser":               {[]string{"*"}, "GET", "/sse", nil, 200, nothing},
		"preflight of a post":           {[]string{app}, "OPTIONS", "/post", []string{"Origin", app, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "content-type"}, 204, preflight(named, "POST", "content-type")},
		"preflight of Last-Event-ID":    {[]string{app}, "OPTIONS", "/sse", []string{"Origin", app, "Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "cache-control,last-event-id"}, 204, preflight(named, "GET", "cache-control,last-event-id")},
		"preflight of any origin":       {[]string{"*"}, "OPTIONS", "/post", []string{"Origin", foreign, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "content-type"}, 204, preflight(anyone, "POST", "content-type")},
		"preflight without headers":     {[]string{app}, "OPTIONS", "/own", []string{"Origin", app, "Access-Control-Request-Method", "PUT"}, 204, preflight(named, "PUT", "")},
		"preflight of no method there":  {[]string{app}, "OPTIONS", "/post", []string{"Origin", app, "Access-Control-Request-Method", "DELETE"}, 204, preflight(named, "GET, HEAD, POST", "")},
		"preflight of two sources":      {[]string{app}, "OPTIONS", "/sse", []string{"Origin", app, "Access-Control-Request-Method", "POST"}, 204, preflight(named, "POST", "")},
		"preflight of no path":          {[]string{app}, "OPTIONS", "/nowhere", []string{"Origin", app, "Access-Control-Request-Method", "PUT"}, 204, preflight(named, "PUT", "")},
		"preflight of a foreign origin": {[]string{app}, "OPTIONS", "/post", []string{"Origin", foreign, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "content-type"}, 403, refused},
		"preflight of a foreign script": {[]string{app}, "OPTIONS", "/feed", []string{"Origin", foreign, "Access-Control-Request-Method", "GET"}, 403, refused},
		"OPTIONS that is no preflight":  {[]string{app}, "OPTIONS", "/post", []string{"Origin", app}, 405, named},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := ssetest.NewServer(t, &ssetest.Config{AllowedOrigins: c.origins})
			srv.Script("GET /feed", ssetest.Script{ssetest.Data("one")})
			srv.Script("POST /sse", ssetest.Script{ssetest.Data("one")}) // beside the letters
			srv.Handle("PUT /own", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			response, text := ask(t, srv, c.method, c.path, "{}", c.headers...)
			assert.Equal(t, c.status, response.StatusCode, text)
			assert.Equal(t, c.want, corsHeader(response))
			if c.status == http.StatusForbidden {
				assert.Equal(t, "ssetest: the origin of this page is not allowed; Config.AllowedOrigins, or the command's -origin, allows it\n", text)
			}
		})
	}
}

// TestPreflightsComeBeforeWrap and use up nothing: they have no credentials.
func TestPreflightsComeBeforeWrap(t *testing.T) {
	unauthorized := func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "who are you?", http.StatusUnauthorized) })
	}
	srv := ssetest.NewServer(t, &ssetest.Config{AllowedOrigins: []string{"https://app.example"}, Wrap: unauthorized})
	srv.Feed("GET /feed")
	response, _ := ask(t, srv, "OPTIONS", "/feed", "", "Origin", "https://app.example", "Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "authorization")
	assert.Equal(t, 204, response.StatusCode)
	assert.Equal(t, "authorization", response.Header.Get("Access-Control-Allow-Headers"))
	response, _ = ask(t, srv, "GET", "/feed", "", "Origin", "https://app.example")
	assert.Equal(t, 401, response.StatusCode)
	assert.Equal(t, "https://app.example", response.Header.Get("Access-Control-Allow-Origin"), "the page reads why")
}

// TestRefusedPreflightsAreLogged where there is no test that would show its notes.
func TestRefusedPreflightsAreLogged(t *testing.T) {
	var log bytes.Buffer
	srv, err := ssetest.Start(&ssetest.Config{AllowedOrigins: []string{"https://app.example"}, ErrorLog: newLogger(&log)})
	require.NoError(t, err)
	defer srv.Close()
	ask(t, srv, "OPTIONS", "/post", "", "Origin", "https://evil.example", "Access-Control-Request-Method", "POST")
	srv.Close()
	assert.Equal(t, "OPTIONS /post HTTP/2.0: answered 403, since Config.AllowedOrigins does not have the origin https://evil.example\n", log.String())
}

func TestOriginsThatAreNone(t *testing.T) {
	for origin, want := range map[string]string{
		"":                          `"" is no origin; it is written as in https://app.example:8443, or as * for any`,
		"app.example":               `"app.example" is no origin; it is written as in https://app.example:8443, or as * for any`,
		"null":                      `"null" is no origin; it is written as in https://app.example:8443, or as * for any`,
		"https://app.example:99999": `"https://app.example:99999" is no origin; it is written as in https://app.example:8443, or as * for any`,
		"https://bücher.example":    `"https://bücher.example" is not as browsers send it, which write a host in ASCII, as in https://xn--bcher-kva.example`,
		"https://*.example":         `"https://*.example" is no origin; it is written as in https://app.example:8443, or as * for any`,
		"https://app.example/":      `"https://app.example/" is more than an origin, which ends with the host, or its port: https://app.example`,
		"https://app.example?x":     `"https://app.example?x" is more than an origin, which ends with the host, or its port: https://app.example`,
		"https://app.example#x":     `"https://app.example#x" is more than an origin, which ends with the host, or its port: https://app.example`,
		"https://me@app.example":    `"https://me@app.example" is more than an origin, which ends with the host, or its port: https://app.example`,
		"https://app.example\nX: y": `"https://app.example\nX: y" is no origin; it is written as in https://app.example:8443, or as * for any`,
	} {
		_, err := ssetest.Start(&ssetest.Config{AllowedOrigins: []string{"*", origin}})
		assert.EqualError(t, err, "ssetest: Config.AllowedOrigins[1]: "+want)
	}
}
