package ssetest_test

import (
	"fmt"
	"html"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-ssetest/sse/ssetest"
)

// A mutantParser parses one response.
type mutantParser struct {
	*mutantStream

	// Of the UTF-8 decoder of the Encoding standard.
	codePoint    rune
	seen, needed int
	lower, upper byte
	undecoded    func(line string) string // what decodes instead; nil where nothing does

	// Of the lines.
	begun            bool
	lines            int
	line             []byte
	afterCR, afterLF bool

	// Of the event.
	id     string
	kind   string
	data   []byte
	retry  time.Duration // that counts with the event
	own    bool          // it has an ID of its own
	behind bool          // its data

	size  int  // of all lines of the event
	heard bool // something that the read timeout begins anew with
	err   error
}

// read reads a response to its end, or until it is silent for too long.
func (p *mutantParser) read(body io.Reader, silence *silence) (unfinished bool, err error) {
	buf := make([]byte, 32<<10)
	for {
		n, err := p.fill(body, buf)
		all, heard := !p.has("counts the read timeout from the beginning"), !p.has("hears nothing but events")
		if all && heard {
			silence.Stop()
		}
		p.heard = heard
		p.write(buf[:n])
		if all && p.heard {
			silence.start()
		}
		switch {
		case p.err != nil:
			err = p.err
		case err != nil && silence.broken.Load():
			err = errSilent
		case err == nil:
			continue
		}
		p.finish()
		return len(p.line)+len(p.data) > 0 || p.own, err
	}
}

func (p *mutantParser) fill(body io.Reader, buf []byte) (int, error) {
	if !p.has("waits until a buffer is full") {
		return body.Read(buf)
	}
	n, err := io.ReadFull(body, buf[:1024])
	if n > 0 && err == io.ErrUnexpectedEOF {
		err = nil
	}
	return n, err
}

// finish is the end of the response.
func (p *mutantParser) finish() {
	if p.needed > 0 {
		p.needed = 0
		p.char([]byte("\uFFFD"))
	}
	switch {
	case p.has("takes a line without its end"):
		if len(p.line) > 0 {
			p.endLine()
		}
	case p.has("takes an event without its end"):
		if len(p.line) > 0 {
			p.endLine()
		}
		p.dispatch()
	case p.has("gives an empty event at the end of a response"):
		p.send(ssetest.Event{})
	case p.has("takes an ID without its event"):
		p.mutantStream.id = p.id
	}
}

// wrongDecoders take the place of the decoder, a line at a time.
var wrongDecoders = map[string]func(line string) string{
	"does not decode":                             func(line string) string { return line },
	"replaces each byte that is ill-formed":       func(line string) string { return string([]rune(line)) },
	"replaces bytes that are ill-formed together": func(line string) string { return strings.ToValidUTF8(line, "\uFFFD") },
	"drops bytes that are ill-formed":             func(line string) string { return strings.ToValidUTF8(line, "") },
	"takes the stream for Latin-1":                fromLatin1,
}

func fromLatin1(line string) string {
	runes := make([]rune, len(line))
	for i := range len(line) {
		runes[i] = rune(line[i])
	}
	return string(runes)
}

func (s *mutantStream) wrongDecoder(response *http.Response) func(line string) string {
	if s.has("decodes as the charset says") && strings.Contains(response.Header.Get("Content-Type"), "iso-8859-1") {
		return fromLatin1
	}
	for _, fault := range s.faults {
		if decode := wrongDecoders[fault]; decode != nil {
			return decode
		}
	}
	return nil
}

// write takes bytes.
func (p *mutantParser) write(chunk []byte) {
	if p.has("forgets a CR from one read to the next") {
		p.afterCR = false
	}
	for len(chunk) > 0 {
		n := p.plain(chunk)
		p.line = append(p.line, chunk[:n]...)
		if chunk = chunk[n:]; len(chunk) == 0 {
			break
		}
		if p.undecoded != nil {
			p.char(chunk[:1])
		} else {
			p.decode(chunk[0])
		}
		chunk = chunk[1:]
	}
	if p.has("decodes each read by itself") && p.needed > 0 {
		p.needed = 0
		p.char([]byte("\uFFFD"))
	}
}

// plain is how many bytes come next of which nothing is to be decided, for the sake of long lines.
func (p *mutantParser) plain(chunk []byte) int {
	if !p.begun || p.needed > 0 || p.afterCR || p.afterLF {
		return 0
	}
	if n := slices.IndexFunc(chunk, func(b byte) bool { return b < ' ' || b >= utf8.RuneSelf }); n >= 0 {
		return n
	}
	return len(chunk)
}

// decode takes a byte: Encoding, section 8.1.1.
func (p *mutantParser) decode(b byte) {
	if p.needed == 0 {
		p.decodeFirst(b)
		return
	}
	if b < p.lower || b > p.upper {
		p.needed = 0
		p.char([]byte("\uFFFD"))
		if !p.has("drops the byte behind a cut sequence") {
			p.decode(b)
		}
		return
	}
	p.lower, p.upper = 0x80, 0xBF
	p.codePoint = p.codePoint<<6 | rune(b&0x3F)
	if p.seen++; p.seen == p.needed {
		p.needed = 0
		p.char(utf8.AppendRune(nil, p.codePoint))
	}
}

// decodeFirst takes the first byte of a character.
func (p *mutantParser) decodeFirst(b byte) {
	p.codePoint, p.seen, p.lower, p.upper = 0, 0, 0x80, 0xBF
	overlong := p.has("takes overlong sequences")
	switch {
	case b < 0x80:
		p.char([]byte{b})
	case b >= 0xC2 && b <= 0xDF, b == 0xC0 && overlong:
		p.needed, p.codePoint = 1, rune(b&0x1F)
	case b&0xF0 == 0xE0:
		p.needed, p.codePoint = 2, rune(b&0xF)
		switch {
		case b == 0xE0 && !overlong:
			p.lower = 0xA0
		case b == 0xED && !p.has("takes surrogates"):
			p.upper = 0x9F
		}
	case b >= 0xF0 && b <= 0xF4:
		p.needed, p.codePoint = 3, rune(b&0x7)
		switch {
		case b == 0xF0 && !overlong:
			p.lower = 0x90
		case b == 0xF4 && !p.has("takes what is past U+10FFFF"):
			p.upper = 0x8F
		}
	default:
		p.char([]byte("\uFFFD"))
	}
}

// char takes a character, or where nothing is decoded, a byte.
func (p *mutantParser) char(c []byte) {
	if p.isBOM(c) {
		return
	}
	cr, lf := c[0] == '\r', c[0] == '\n'
	if p.has("waits for what is behind a CR") && p.afterCR {
		p.afterCR = false
		p.endLine()
		if lf {
			return
		}
	}
	switch {
	case lf && p.afterCR && !p.has("ends two lines at a CRLF"):
		p.afterCR = false
		return
	case cr && p.afterLF && p.has("ends one line at LF CR"):
		p.afterLF = false
		return
	case cr && p.has("drops every CR"), cr && p.afterCR && p.has("takes CR CRLF for one line end"):
		return
	case cr && (p.has("ends lines with LF alone") || p.has("ends lines with LF and CRLF")):
		cr = false
	case cr && p.has("waits for what is behind a CR"):
		p.afterCR = true
		return
	case p.has("ends lines as Unicode does") && slices.Contains([]string{"\v", "\f", "\u0085", "\u2028", "\u2029"}, string(c)):
		lf = true
	}
	p.afterCR, p.afterLF = cr, lf
	if cr || lf {
		p.endLine()
		return
	}
	p.line = append(p.line, c...)
}

// isBOM reports whether a character is dropped as a byte order mark.
func (p *mutantParser) isBOM(c []byte) bool {
	bom, first := string(c) == "\uFEFF", !p.begun
	p.begun = p.begun || !bom || !p.has("drops every BOM at the beginning")
	if bom && first && p.has("ends the stream at a BOM") {
		p.err = errInvalid
	}
	return bom && (first && !p.has("keeps the BOM") || p.has("drops every BOM") || p.has("drops a BOM at the beginning of a line") && len(p.line) == 0)
}

// endLine takes a line.
func (p *mutantParser) endLine() {
	line := string(p.line)
	p.line = p.line[:0]
	if p.err != nil {
		return
	}
	if p.undecoded != nil {
		if p.lines == 0 {
			line = strings.TrimPrefix(line, "\uFEFF")
		}
		line = p.undecoded(line)
	}
	p.lines++
	switch {
	case p.has("ends lines with LF and CRLF"):
		line = strings.TrimSuffix(line, "\r")
	case p.has("trims lines"):
		line = strings.TrimSpace(line)
	case p.has("drops NUL"):
		line = strings.ReplaceAll(line, "\x00", "")
	case p.has("drops what is not in the Basic Multilingual Plane"):
		line = strings.Map(func(r rune) rune {
			if r > 0xFFFF {
				return -1
			}
			return r
		}, line)
	}
	p.size += len(line)
	switch {
	case p.has("takes 64 KiB of a line") && len(line) > 64<<10, p.has("takes 64 KiB of an event") && p.size > 64<<10:
		p.err = errTooBig
	case line == "":
		p.dispatch()
	case line[0] == ':' && !p.has("takes the second field of a comment"):
		p.comment(line[1:])
	default:
		p.splitLine(line)
	}
}

// comment takes the text of a comment.
func (p *mutantParser) comment(text string) {
	switch {
	case p.has("ends an event at a comment"), p.has("takes an empty comment for a blank line") && text == "":
		p.dispatch()
	case p.has("keeps the space of a comment"):
		text = " " + text
	case p.has("cuts comments"):
		text = text[:min(len(text), 1000)]
	case p.has("trims comments"):
		text = strings.TrimSpace(text)
	case p.has("gives no comments"), p.has("gives no empty comments") && text == "":
		return
	case p.has("ends the stream at a comment"):
		p.err = errInvalid
	}
	p.request.OnComment(strings.TrimPrefix(text, " "))
}

// splitLine takes a line that is a field.
func (p *mutantParser) splitLine(line string) {
	name, value, found := strings.Cut(line, ":")
	switch {
	case p.has("takes the last colon of a line"):
		if i := strings.LastIndexByte(line, ':'); i > 0 {
			name, value = line[:i], line[i+1:]
		}
	case p.has("ends a value at a second colon"):
		value, _, _ = strings.Cut(value, ":")
	case p.has("takes the second field of a comment"):
		if name == "" {
			name, value, _ = strings.Cut(strings.TrimSpace(value), ":")
		}
	case p.has("wants a space behind the colon") && found && !strings.HasPrefix(value, " "),
		p.has("wants a colon") && !found:
		return
	case p.has("takes a line without a colon for data") && !found:
		name, value = "data", line
	}
	switch {
	case p.has("keeps the space behind the colon"):
	case p.has("trims values"):
		value = strings.TrimSpace(value)
	case p.has("trims values on the left"):
		value = strings.TrimLeft(value, " ")
	case p.has("trims values on the right"):
		value = strings.TrimRight(strings.TrimPrefix(value, " "), " ")
	case p.has("drops a tab behind the colon"):
		value = strings.TrimPrefix(strings.TrimPrefix(value, " "), "\t")
	default:
		value = strings.TrimPrefix(value, " ")
	}
	p.field(p.fieldName(name), value)
}

// fieldName is which field a name is taken for.
func (p *mutantParser) fieldName(name string) string {
	switch {
	case p.has("ignores the case of names"):
		return strings.ToLower(name)
	case p.has("trims names"):
		return strings.TrimSpace(name)
	case p.has("trims names on the left"):
		return strings.TrimLeft(name, " ")
	case p.has("trims names on the right"):
		return strings.TrimRight(name, " ")
	case p.has("compares the beginning of names") && strings.HasPrefix(name, "data"), p.has("completes names") && strings.HasPrefix("data", name):
		return "data"
	default:
		return name
	}
}

// field takes a field.
func (p *mutantParser) field(name, value string) {
	if p.behind && p.has("takes no field behind data") && name != "data" {
		return
	}
	switch name {
	case "data":
		p.addData(value)
	case "event":
		p.setType(value)
	case "id":
		p.setID(value)
	case "retry":
		p.setRetry(value)
	default:
		switch {
		case p.has("ends the stream at an unknown field"):
			p.err = errInvalid
		case p.has("ends an event at an unknown field"):
			p.dispatch()
		case p.has("takes an unknown field for data"):
			p.addData(value)
		}
	}
}

func (p *mutantParser) addData(value string) {
	p.behind = true
	switch {
	case p.has("drops empty lines of data") && value == "":
		return
	case p.has("takes the last line of data"):
		p.data = nil
	case p.has("takes the first line of data") && len(p.data) > 0:
		return
	case p.has("puts nothing between lines of data") && len(p.data) > 0:
		p.data = p.data[:len(p.data)-1]
	case p.has("puts a space between lines of data") && len(p.data) > 0:
		p.data[len(p.data)-1] = ' '
	case p.has("ends data at NUL"):
		value, _, _ = strings.Cut(value, "\x00")
	}
	p.data = append(append(p.data, value...), '\n')
	if p.has("makes an event of each line of data") {
		p.dispatch()
	}
}

func (p *mutantParser) setType(value string) {
	switch {
	case p.has("keeps the first type") && p.kind != "", p.has("ignores an empty type") && value == "", p.has("ignores types"):
		return
	}
	p.kind = value
}

func (p *mutantParser) setID(value string) {
	nul := strings.Contains(value, "\x00")
	number := strings.Trim(value, "0123456789") == ""
	switch {
	case nul && p.has("takes an ID with NUL"):
		value = strings.ReplaceAll(value, "\x00", "?") // no header can carry NUL
	case nul && p.has("ends an ID at NUL"):
		value, _, _ = strings.Cut(value, "\x00")
	case nul && p.has("takes an ID with NUL for none"):
		value = ""
	case nul, p.has("keeps the first ID") && p.own, p.has("ignores an empty ID") && value == "", p.has("ignores an ID that is no number") && !number:
		return
	}
	p.own = true
	p.id = value
	if p.has("takes an ID at its line") {
		p.mutantStream.id = value
	}
}

// dispatch ends an event.
func (p *mutantParser) dispatch() {
	e := ssetest.Event{Type: p.kind, Data: string(p.data), ID: p.givenID()}
	data, own := len(p.data) > 0, p.own
	if data || !p.has("ignores an ID without data") {
		p.mutantStream.id = p.id
	} else {
		p.id = p.mutantStream.id
	}
	if p.has("forgets the ID behind its event") {
		p.id = ""
	}
	if p.retry > 0 && (data || !p.has("takes retry with data alone")) {
		p.mutantStream.retry = p.retry
	}
	p.retry, p.size, p.own, p.behind, p.data = 0, 0, false, false, nil
	if !p.has("keeps the type for the next event") && (data || !p.has("keeps the type where there is no data")) {
		p.kind = ""
	}
	switch {
	case data && (e.Data != "\n" || !p.has("makes no events of empty data")),
		p.has("makes events without data"),
		p.has("makes events of a type without data") && e.Type != "",
		p.has("makes events of an ID without data") && own:
		e.Data = p.joined(e.Data)
		if e.Type == "" && p.has("calls an event without a type event") {
			e.Type = "event"
		}
		p.sendAs(e)
	}
}

// sendAs hands over an event, or what is made of it.
func (p *mutantParser) sendAs(e ssetest.Event) {
	const most = 64
	switch {
	case p.has("drops [DONE]") && e.Data == "[DONE]", p.has("drops events of type error") && e.Type == "error":
		return
	case p.has("unescapes data"):
		e.Data = html.UnescapeString(e.Data)
	case p.has("trims types"):
		e.Type = strings.TrimSpace(e.Type)
	case p.has("cuts types"):
		e.Type = e.Type[:min(len(e.Type), most)]
	case p.has("cuts IDs"):
		e.ID = e.ID[:min(len(e.ID), most)]
	}
	p.send(e)
}

// givenID is the ID of an event.
func (p *mutantParser) givenID() string {
	switch {
	case p.has("gives an event its own ID alone") && !p.own, p.has("gives no IDs"), p.has("does not give the ID to begin with") && p.id == p.request.LastEventID:
		return ""
	case p.has("gives the ID of the event before"):
		return p.mutantStream.id
	default:
		return p.id
	}
}

// joined is the data of an event.
func (p *mutantParser) joined(data string) string {
	switch {
	case p.has("keeps the last LF of data"):
		return data
	case p.has("drops every LF at the end of data"):
		return strings.TrimRight(data, "\n")
	case p.has("trims data"):
		return strings.TrimSpace(data)
	default:
		return strings.TrimSuffix(data, "\n")
	}
}

// send hands over an event.
func (p *mutantParser) send(e ssetest.Event) {
	if p.has("drops events when 16 are waiting") {
		select {
		case p.events <- e:
		default:
		}
		return
	}
	if p.has("drops an event that nobody takes soon") {
		select {
		case p.events <- e:
		case <-time.After(p.mutantStream.retry / 2):
		}
		return
	}
	closed, ctx := p.closed, p.ctx
	if p.has("hands over its event though it was closed") {
		closed, ctx = nil, p.given
	}
	p.heard = true
	select {
	case p.events <- e:
	case <-closed:
	case <-ctx.Done():
	}
}

const maxRetry = math.MaxInt64 / int64(time.Millisecond)

// wrongRetries read the value of a retry field.
var wrongRetries = map[string]func(value string) (milliseconds int64, ok bool){
	"ignores retry": func(string) (int64, bool) { return 0, false },
	"reads retry by strconv.Atoi": func(value string) (int64, bool) {
		n, err := strconv.Atoi(value)
		return int64(n), err == nil
	},
	"reads retry by strconv.ParseFloat": func(value string) (int64, bool) {
		n, err := strconv.ParseFloat(value, 64)
		return int64(min(n, 1e12)), err == nil
	},
	"reads retry in any base": func(value string) (int64, bool) {
		n, err := strconv.ParseInt(value, 0, 64)
		return n, err == nil && n >= 0
	},
	"reads retry by fmt.Sscan": func(value string) (n int64, ok bool) {
		_, err := fmt.Sscanf(value, "%d", &n)
		return n, err == nil && n >= 0
	},
	"trims retry": func(value string) (int64, bool) { return readRetry(strings.TrimSpace(value)) },
	"reads the digits of all scripts": func(value string) (n int64, ok bool) {
		for _, r := range value {
			if !unicode.IsDigit(r) {
				return 0, false
			}
			n = min(10*n+int64(r&0xF), maxRetry/100)
		}
		return n, value != ""
	},
	"reads an empty retry as zero": func(value string) (int64, bool) { return readRetry("0" + value) },
	"reads retry in seconds": func(value string) (int64, bool) {
		n, ok := readRetry(value)
		return min(n, maxRetry/1000) * 1000, ok
	},
	"reads retry in microseconds": func(value string) (int64, bool) {
		n, ok := readRetry(value)
		return n / 1000, ok
	},
	"lets retry overflow": func(value string) (n int64, ok bool) {
		if _, ok = readRetry(value); !ok {
			return 0, false
		}
		for _, digit := range value {
			n = 10*n + int64(digit-'0')
		}
		return n, true
	},
	"ignores a retry of more than nine digits": func(value string) (int64, bool) {
		n, ok := readRetry(value)
		return n, ok && len(value) <= 9
	},
	"takes a retry of more than nine digits for zero": func(value string) (int64, bool) {
		if n, ok := readRetry(value); !ok || len(value) <= 9 {
			return n, ok
		}
		return 0, true
	},
}

// readRetry reads ASCII digits.
func readRetry(value string) (milliseconds int64, ok bool) {
	for _, digit := range value {
		if digit < '0' || digit > '9' {
			return 0, false
		}
		milliseconds = min(10*min(milliseconds, maxRetry/10+1)+int64(digit-'0'), maxRetry)
	}
	return milliseconds, value != ""
}

func (p *mutantParser) setRetry(value string) {
	read := readRetry
	for _, fault := range p.faults {
		if wrong := wrongRetries[fault]; wrong != nil {
			read = wrong
		}
	}
	milliseconds, ok := read(value)
	switch {
	case !ok && p.has("goes back to its own time after an invalid retry"):
		milliseconds, ok = p.request.ReconnectionTime.Milliseconds(), true
	case p.has("keeps the first retry") && p.retries > 0:
		ok = false
	}
	if !ok {
		return
	}
	p.retries++
	wait := time.Duration(milliseconds) * time.Millisecond
	if p.has("takes retry with its event") || p.has("takes retry with data alone") {
		p.retry = wait
		return
	}
	p.mutantStream.retry = wait
}
