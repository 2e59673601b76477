package bench_test

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"github.com/go-ssetest/sse/ssetest"
)

// A crowd in another process is what memory is measured with: nothing of a client counts.
const outsiderVariable = "SSETEST_BENCH_OUTSIDER"

// An outsider is such a crowd, as its process is told.
type outsider struct {
	Protocol      ssetest.Protocol
	Addr, Path    string
	Size, PerConn int
}

func TestMain(m *testing.M) {
	if text := os.Getenv(outsiderVariable); text != "" {
		if err := beOutsider(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// beOutsider is what the other process does: it opens its streams, says so, and stays until its standard input ends.
func beOutsider(text string) error {
	var o outsider
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return err
	}
	c, err := newCrowd(place{o.Protocol, loopback(o.Addr), o.Addr, o.Path}, o.Size, o.PerConn)
	if err != nil {
		return err
	}
	defer c.close()
	if err := c.awaitOpen(); err != nil {
		return err
	}
	fmt.Println("open")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// start opens the streams of a server, and returns when they are open, and have been sent an event: some send no headers before. leave closes them.
func (o outsider) start(publish func(data ...string)) (leave func() error, err error) {
	text, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), outsiderVariable+"="+string(text))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	stdout, err2 := cmd.StdoutPipe()
	if err = cmp.Or(err, err2); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	leave = func() error { return errors.Join(stdin.Close(), cmd.Wait()) }
	said := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(stdout).ReadString('\n') // without it, the line is not as it should be
		said <- line
	}()
	for {
		select {
		case line := <-said:
			if line != "open\n" {
				return nil, errors.Join(fmt.Errorf("the other process says %q", line), leave())
			}
			publish(probe)
			return leave, nil
		case <-time.After(100 * time.Millisecond):
			publish(probe)
		}
	}
}

// idleSubscribers is how many there are when memory is measured.
const idleSubscribers = 1000

// BenchmarkMemory is what a stream costs its server that is open and idle: B/stream, on the heap and in stacks, and goroutines. Each contender has a process of its own:
// what another one leaves, and the garbage collector finds later, would count in its favour.
func BenchmarkMemory(b *testing.B) {
	for _, protocol := range bothProtocols {
		b.Run(fmt.Sprintf("protocol=%v", protocol), func(b *testing.B) {
			for _, p := range publishers {
				if p.name == "limit" { // nobody has found out how little it could be
					continue
				}
				b.Run("contender="+p.name, func(b *testing.B) {
					var sum streamCost
					for b.Loop() {
						cost := idleElsewhere(b, protocol, p.name)
						sum.bytes += cost.bytes
						sum.goroutines += cost.goroutines
					}
					b.ReportMetric(sum.bytes/float64(b.N), "B/stream")
					b.ReportMetric(sum.goroutines/float64(b.N), "goroutines/stream")
					b.ReportMetric(0, "ns/op") // is not what this is about
				})
			}
		})
	}
}

// idleElsewhere is what idle measures in a process that does nothing else.
func idleElsewhere(tb testing.TB, protocol ssetest.Protocol, name string) (cost streamCost) {
	_, err := fmt.Sscan(account(tb, fmt.Sprintf("TestMemory/%v/%s", protocol, name)), &cost.bytes, &cost.goroutines)
	must(tb, err)
	return cost
}

// TestMemory is what BenchmarkMemory measures.
func TestMemory(t *testing.T) {
	if os.Getenv(measureVariable) == "" {
		t.Skip("a benchmark runs it")
	}
	for _, protocol := range bothProtocols {
		for _, p := range publishers {
			t.Run(fmt.Sprintf("%v/%s", protocol, p.name), func(t *testing.T) {
				cost, err := idle(p.start(t, protocol))
				must(t, err)
				fmt.Printf("%s%f %f\n", measured, cost.bytes, cost.goroutines)
			})
		}
	}
}

// A streamCost is what one stream costs.
type streamCost struct{ bytes, goroutines float64 }

// idle measures a server with idle streams. Each costs the same as the others: what the first ones cost beside that is left out.
func idle(server publisher) (cost streamCost, err error) {
	defer server.close()
	o := outsider{server.protocol, server.host, server.path, 10, 10}
	leave, err := o.start(server.publish)
	if err != nil {
		return cost, err
	}
	before := occupied()
	o.Size, o.PerConn = idleSubscribers, idleSubscribers
	leaveToo, err := o.start(server.publish)
	if err != nil {
		return cost, errors.Join(err, leave())
	}
	after := occupied()
	cost = streamCost{(after.bytes - before.bytes) / idleSubscribers, (after.goroutines - before.goroutines) / idleSubscribers}
	return cost, errors.Join(leave(), leaveToo())
}

// occupied is what this process holds.
func occupied() streamCost {
	for range 3 { // what pools keep goes with the second
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return streamCost{float64(m.HeapAlloc + m.StackInuse), float64(runtime.NumGoroutine())}
}
