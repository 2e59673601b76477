package ssetest_test

import (
	"context"
	"fmt"

	"github.com/go-ssetest/sse/ssetest"
)

func ExampleDial() {
	srv, err := ssetest.Start(&ssetest.Config{Seed: 42})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer srv.Close()
	es, err := ssetest.Dial(context.Background(), srv.URL+"/sse", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer es.Close()
	e, err := es.Next(context.Background())
	fmt.Println(e.Data, err)
	// Output: {"msg":"a"} <nil>
}
