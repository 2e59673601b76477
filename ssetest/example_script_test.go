package ssetest_test

import (
	"fmt"
	"strings"

	"github.com/go-ssetest/sse/ssetest"
)

func ExampleParseScript() {
	script, err := ssetest.ParseScript(strings.NewReader(`id: 1
data: one

:@ wait 2s
data: two

:@ raw "data: half an ev"
:@ abort
`))
	for _, step := range script {
		fmt.Println(step)
	}
	fmt.Println(err)

	_, err = ssetest.ParseScript(strings.NewReader(":@ end\ndata: too late\n\n"))
	fmt.Println(err)
	// Output:
	// Raw("id: 1\ndata: one\n\n")
	// Wait(2s)
	// Raw("data: two\n\n")
	// Raw("data: half an ev")
	// Abort()
	// <nil>
	// ssetest: script, line 2: Raw("data: too late\n\n"): nothing can follow End()
}
