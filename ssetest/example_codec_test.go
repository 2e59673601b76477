package ssetest_test

import (
	"fmt"
	"io"
	"log"
	"strings"

	"github.com/go-ssetest/sse/ssetest"
)

func ExampleDecoder() {
	stream := strings.NewReader("retry: 1500\n\n" +
		"id: 8\nevent: price\ndata: {\"EUR\":1.08}\n\n" +
		": the stream breaks off in the middle of an event\nid: 9\ndata: {\"EU")

	d := ssetest.NewDecoder(stream)
	d.SetLastEventID("7") // from the connection before this one
	for {
		event, err := d.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(event.Type, event.Data)
	}

	wait, _ := d.ReconnectionTime()
	fmt.Printf("reconnect after %v with Last-Event-ID: %s\n", wait, d.LastEventID())
	// Output:
	// price {"EUR":1.08}
	// reconnect after 1.5s with Last-Event-ID: 8
}

func ExampleDecoder_OnComment() {
	d := ssetest.NewDecoder(strings.NewReader(": keep-alive\n\ndata: a\n\n"))
	d.OnComment(func(text string) { fmt.Println("comment:", text) })
	event, err := d.Next()
	fmt.Println(event, err)
	// Output:
	// comment: keep-alive
	// message a <nil>
}

func ExampleEvents() {
	body := strings.NewReader("data: one\n\nevent: update\ndata: two\ndata: lines\n\n")
	for event, err := range ssetest.Events(body) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(event)
	}
	// Output:
	// message one
	// update "two\nlines"
}

func ExampleEvent_AppendText() {
	event := ssetest.JSON(map[string]string{"msg": "a"})
	event.Type, event.ID = "letter", "1"
	wire, err := event.AppendText(nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s", wire)

	_, err = ssetest.Event{ID: "1\ndata: injected"}.AppendText(nil)
	fmt.Println(err)
	// Output:
	// event: letter
	// data: {"msg":"a"}
	// id: 1
	//
	// ssetest: the event's ID has a line end: "1\ndata: injected"
}
