package ssetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// maxScriptSize bounds the text of a script.
const maxScriptSize = 64 << 20

// ParseScript reads the text form of a [Script]: an event stream, which is served byte for byte as it stands there, and directives in
// comment lines that begin with ":@". What curl -N has written of any server is such a text, without directives; a [Transcript] has them.
//
//	:@ response 200
//	:@ header X-Feed: one
//	id: 1
//	data: one
//
//	:@ wait 2s
//	: keep-alive
//
//	:@ raw "data: half an ev"
//	:@ abort
//
// Each event, up to its blank line, is a [Raw] step of its own, as is what stands between a directive and the next.
// Blank lines behind an ending count for nothing. The directives are:
//
//	open REQUEST           first of all: what was asked, which is for people
//	response STATUS        first but for that: Response
//	header NAME: VALUE     of the Response, directly behind it
//	body "TEXT"            of the Response, as a string of Go
//	delay DURATION         of the Response
//	wait DURATION          Wait, with a duration such as 1.5s
//	raw "BYTES"            Raw, as a string of Go: what is no line of text, or begins with ":@"
//	split N                Split
//	go-away CODE           GoAway, with a code such as NO_ERROR, or its number
//	reset-stream CODE      ResetStream
//	reset-conn             ResetConn
//	end, abort, stall, hold
//
// Before each may stand when that was, as in "+1.5s open": it is for people, too.
//
// An error names the line: of a directive that is unknown or malformed, of a step that can't stand where it does, of a second stream,
// and of a control character, which no text has. A text of more than 64 MiB is an error, too.
func ParseScript(r io.Reader) (Script, error) {
	scripts, line, err := parseScripts(r)
	if err == nil {
		line, err = second(scripts)
	}
	if err != nil {
		return nil, scriptError(line, err)
	}
	return scripts[0].script, nil
}

// ParseScripts reads the text form of several scripts, as [ParseScript] does of one. Each begins with the directive open:
// the text form of a [Transcript] is such a text.
func ParseScripts(r io.Reader) ([]Script, error) {
	parsed, line, err := parseScripts(r)
	if err != nil {
		return nil, scriptError(line, err)
	}
	scripts := make([]Script, len(parsed))
	for i, p := range parsed {
		scripts[i] = p.script
	}
	return scripts, nil
}

func scriptError(line int, err error) error {
	if line > 0 {
		return fmt.Errorf("ssetest: script, line %d: %w", line, err)
	}
	return fmt.Errorf("ssetest: script: %w", err)
}

// second is the error of scripts that are more than one.
func second(scripts []*scriptParser) (line int, err error) {
	if len(scripts) == 1 {
		return 0, nil
	}
	return scripts[1].opened, errors.New("here a second stream begins; ParseScripts and LoadScripts read several")
}

// LoadScript reads a script from a file, as [ParseScript] does. Where it can't, the test ends, with the file, the line and what is wrong there.
// It must be called from the test's own goroutine.
func LoadScript(t testing.TB, path string) Script {
	t.Helper()
	scripts := loadScripts(t, "LoadScript", path)
	if line, err := second(scripts); err != nil {
		t.Fatalf("ssetest: LoadScript: %s:%d: %v", path, line, err)
	}
	return scripts[0].script
}

// LoadScripts is [LoadScript] for several scripts, as [ParseScripts] reads them.
func LoadScripts(t testing.TB, path string) []Script {
	t.Helper()
	parsed := loadScripts(t, "LoadScripts", path)
	scripts := make([]Script, len(parsed))
	for i, p := range parsed {
		scripts[i] = p.script
	}
	return scripts
}

func loadScripts(t testing.TB, method, path string) []*scriptParser {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatalf("ssetest: %s: %v", method, err)
	}
	defer func() { _ = f.Close() }() // it was only read
	scripts, line, err := parseScripts(f)
	switch {
	case err != nil && line > 0:
		t.Fatalf("ssetest: %s: %s:%d: %v", method, path, line, err)
	case err != nil:
		t.Fatalf("ssetest: %s: %s: %v", method, path, err)
	}
	return scripts
}

// NoWaits returns the script without its waits, and without the delay of its response: the same bytes, at once.
func (s Script) NoWaits() Script {
	fast := make(Script, 0, len(s))
	for _, step := range s.clone() {
		switch step := step.(type) {
		case wait:
		case Response:
			step.Delay = 0
			fast = append(fast, step)
		default:
			fast = append(fast, step)
		}
	}
	return fast
}

// parseScripts returns at least one script, and with an error the line that it is about, or 0 where it is about none.
func parseScripts(r io.Reader) (_ []*scriptParser, line int, _ error) {
	text, err := io.ReadAll(io.LimitReader(r, maxScriptSize+1))
	switch {
	case err != nil:
		return nil, 0, err
	case len(text) > maxScriptSize:
		return nil, 0, fmt.Errorf("it has more than %d bytes", maxScriptSize)
	}
	p := new(scriptParser)
	scripts := []*scriptParser{p}
	for len(text) > 0 {
		p.line++
		n := lineLen(text)
		if err := p.readLine(text[:n]); err != nil {
			return nil, p.line, err
		}
		if p.next != nil {
			p = p.next
			scripts = append(scripts, p)
		}
		text = text[n:]
	}
	for _, p := range scripts {
		p.finishRaw()
		var wrong *stepError
		if err := p.script.check(); errors.As(err, &wrong) {
			return nil, p.lines[wrong.number-1], fmt.Errorf("%v: %w", wrong.step, wrong.why)
		}
	}
	return scripts, 0, nil
}

// lineLen is the length of the first line of a text, with its line end.
func lineLen(text []byte) int {
	i := bytes.IndexAny(text, "\r\n")
	switch {
	case i < 0:
		return len(text)
	case text[i] == '\r' && i+1 < len(text) && text[i+1] == '\n':
		return i + 2
	default:
		return i + 1
	}
}

// A scriptParser reads a script line by line.
type scriptParser struct {
	script Script
	lines  []int // where each step begins
	line   int   // that is being read, from 1

	raw     []byte // of the event stream, since the last step
	rawLine int    // where that begins

	opened int           // where the directive open stands; 0 where there is none
	next   *scriptParser // of the script that follows
}

func (p *scriptParser) add(step Step, line int) {
	p.script = append(p.script, step)
	p.lines = append(p.lines, line)
}

// finishRaw makes a step of what has been read of the event stream. Blank lines behind an ending are nothing.
func (p *scriptParser) finishRaw() {
	n := len(p.script)
	over := n > 0 && isEnding(p.script[n-1]) && len(bytes.Trim(p.raw, "\r\n")) == 0
	if len(p.raw) > 0 && !over {
		p.add(Raw(string(p.raw)), p.rawLine)
	}
	p.raw = nil
}

func (p *scriptParser) readLine(line []byte) error {
	content := bytes.TrimRight(line, "\r\n")
	if text, ok := bytes.CutPrefix(content, []byte(":@")); ok {
		p.finishRaw()
		name, argument, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
		if offset, ok := strings.CutPrefix(name, "+"); ok {
			if _, err := duration(offset); err != nil {
				return err
			}
			name, argument, _ = strings.Cut(strings.TrimSpace(argument), " ")
		}
		return p.directive(name, strings.TrimSpace(argument))
	}
	if i := bytes.IndexFunc(content, isControl); i >= 0 {
		return fmt.Errorf(`there is a control character, %#02x, so that this is no text; where a stream shall have one, write it as in :@ raw "id: \x00\n"`, content[i])
	}
	if len(p.raw) == 0 {
		p.rawLine = p.line
	}
	if p.raw = append(p.raw, line...); len(content) == 0 {
		p.finishRaw()
	}
	return nil
}

// directiveNames are all that there are.
const directiveNames = "open, response, header, body, delay, wait, raw, split, go-away, reset-stream, reset-conn, end, abort, stall, hold"

// isControl reports whether a character does not stand in text.
func isControl(r rune) bool { return r < ' ' && r != '\t' && r != '\r' && r != '\n' || r == 0x7f }

// endingDirectives are those without an argument.
var endingDirectives = map[string]ending{"end": endCleanly, "abort": abortStream, "reset-conn": resetConn, "stall": stall, "hold": hold}

// endingDirective is the name of the directive that means an ending.
func endingDirective(e ending) string {
	for name, other := range endingDirectives {
		if other == e {
			return name
		}
	}
	return ""
}

// codeName is how a code of HTTP/2 is written.
func codeName(code http2.ErrCode) string {
	if code > http2.ErrCodeHTTP11Required {
		return fmt.Sprintf("%#x", uint32(code))
	}
	return code.String()
}

// directive makes a step of a directive, or a part of one.
func (p *scriptParser) directive(name, argument string) error {
	if ending, ok := endingDirectives[name]; ok {
		if argument != "" {
			return fmt.Errorf("%s takes no argument, and has %q", name, argument)
		}
		p.add(ending, p.line)
		return nil
	}
	var step Step
	var err error
	switch name {
	case "open":
		p.open()
		return nil
	case "response":
		var status int
		status, err = number(argument)
		step = Response{Status: status}
	case "header", "body", "delay":
		return p.amend(name, argument)
	case "wait":
		var d time.Duration
		d, err = duration(argument)
		step = Wait(d)
	case "raw":
		var text string
		text, err = goString(argument)
		step = Raw(text)
	case "split":
		var n int
		n, err = number(argument)
		step = Split(n)
	case "go-away":
		var code http2.ErrCode
		code, err = errorCode(argument)
		step = GoAway(code)
	case "reset-stream":
		var code http2.ErrCode
		code, err = errorCode(argument)
		step = ResetStream(code)
	default:
		return fmt.Errorf(`there is no directive %q, only %s; a comment that begins with ":@" has to be written as in :@ raw ":@…\n"`, name, directiveNames)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	p.add(step, p.line)
	return nil
}

// open begins a script: this one, where there is nothing of it yet, or the next.
func (p *scriptParser) open() {
	if len(p.script) == 0 && p.opened == 0 {
		p.opened = p.line
		return
	}
	p.next = &scriptParser{line: p.line, opened: p.line}
}

// amend adds to the response that the script begins with.
func (p *scriptParser) amend(name, argument string) error {
	var response Response
	ok := false
	if len(p.script) == 1 {
		response, ok = p.script[0].(Response)
	}
	if !ok {
		return fmt.Errorf("%s has to stand directly behind a response", name)
	}
	var err error
	switch name {
	case "header":
		field, value, ok := strings.Cut(argument, ":")
		if !ok {
			return fmt.Errorf("header: %q is no field; one is written as in Retry-After: 3", argument)
		}
		if response.Header == nil {
			response.Header = make(http.Header)
		}
		response.Header.Add(field, strings.TrimSpace(value))
	case "body":
		response.Body, err = goString(argument)
	case "delay":
		response.Delay, err = duration(argument)
	}
	if err == nil {
		err = response.check()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	p.script[0] = response
	return nil
}

func number(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, fmt.Errorf("%q is no number", text)
	}
	return n, nil
}

func duration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%q is no duration; one is written as in 1.5s", text)
	}
	return d, nil
}

func goString(text string) (string, error) {
	s, err := strconv.Unquote(text)
	if err != nil || text[0] == '\'' {
		return "", fmt.Errorf(`%s is no string of Go; one is written as in "one\n"`, text)
	}
	return s, nil
}

// errorCode finds a code of HTTP/2 by its name (RFC 9113, section 7) or its number.
func errorCode(text string) (http2.ErrCode, error) {
	for code := http2.ErrCodeNo; code <= http2.ErrCodeHTTP11Required; code++ {
		if text == code.String() {
			return code, nil
		}
	}
	n, err := strconv.ParseUint(text, 0, 32)
	if err != nil {
		return 0, fmt.Errorf("%q is no error code; one is written as in CANCEL, or 0x8", text)
	}
	return http2.ErrCode(n), nil
}
