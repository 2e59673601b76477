package ssetest

import (
	"fmt"

	"golang.org/x/net/http2"
)

// This file is the cases of how a stream ends, for clients that say so.

const (
	sayIncomplete  = "RFC 9112, section 8: A message body that uses the chunked transfer coding is incomplete if the zero-sized chunk that terminates the encoding has not been received."
	sayIncomplete2 = "RFC 9113, section 8.1: An HTTP response is complete after the server sends -- or the client receives -- a frame with the END_STREAM flag set."
	sayUnfinished  = "9.2.6: Once the end of the file is reached, any pending data must be discarded."
)

// An abruptEnd is an end of a stream that is not its clean end.
type abruptEnd struct {
	name string
	rule string
	step Step
	only []Protocol
}

// abruptEnds are all of them that are seen at once.
func abruptEnds() []abruptEnd {
	ends := []abruptEnd{
		{name: "an abort", rule: sayIncomplete, step: Abort()},
		{name: "a reset of the connection", rule: sayIncomplete, step: ResetConn()},
	}
	for _, code := range []http2.ErrCode{
		http2.ErrCodeNo, http2.ErrCodeProtocol, http2.ErrCodeInternal, http2.ErrCodeRefusedStream, http2.ErrCodeCancel, http2.ErrCodeEnhanceYourCalm,
	} {
		ends = append(ends, abruptEnd{name: fmt.Sprintf("RST_STREAM(%s)", codeName(code)), rule: sayIncomplete2, step: ResetStream(code), only: []Protocol{HTTP2}})
	}
	return ends
}

func endCases() []clientCase {
	needs := []Capability{CanReportEnds}
	cases := []clientCase{
		{name: "ends/the clean end", rule: sayIncomplete, needs: needs, alone: true, try: func(c *clientTry) {
			s := c.mustConnect(c.serve(Script{Data("one"), Raw("data: tw\n"), End()}), ConnectRequest{})
			s.mustGetData("one")
			for range 3 { // it remains what it is
				if err := s.mustEnd(); !isCleanEnd(err) {
					c.Fatalf("wanted Next to return io.EOF, but it returns %v", err)
				}
			}
		}},
	}
	for _, end := range abruptEnds() {
		for _, unfinished := range []bool{false, true} {
			name, script := end.name, Script{Data("one")}
			if unfinished {
				name += " within an event"
				script = append(script, Raw("data: tw\n"))
			}
			cases = append(cases, clientCase{name: "ends/" + name, rule: end.rule, needs: needs, only: end.only, alone: true, try: func(c *clientTry) {
				s := c.mustConnect(c.serve(append(script, end.step)), ConnectRequest{})
				s.mustGetData("one")
				if err := s.mustEnd(); isCleanEnd(err) {
					c.Fatalf("wanted Next to return an error that is not io.EOF, since the response is incomplete, but it returns %v", err)
				}
			}})
		}
	}
	return cases
}
